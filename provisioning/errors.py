"""The errors of provisioning: each says what failed, where, and what to do next, and holds no secret."""

from __future__ import annotations


class ProvisioningError(Exception):
    """Provisioning cannot go on; the text is meant for the person who ran `up`."""


class UnreachablePodError(ProvisioningError):
    """The pod's SSH server could not be reached or was lost, and the bound for trying again has passed."""


class UntrustedPodError(ProvisioningError):
    """Whoever answered is not our pod, or does not know us; nothing was sent to it."""


class InstallError(ProvisioningError):
    """A step of the installer failed on the pod."""


class ModelError(ProvisioningError):
    """A model cannot be had as the manifest describes it."""


class DiskFullError(ModelError):
    """The volume has no room for what is still to be written."""
