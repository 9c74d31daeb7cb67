"""Errors of provisioning: each message contains the failure, its place and a remedy, and no secret."""

from __future__ import annotations


class ProvisioningError(Exception):
    """Provisioning cannot continue; the message is for the operator who ran `up`."""


class UnreachablePodError(ProvisioningError):
    """The pod's SSH server could not be reached or was lost, and the time limit for retries has passed."""


class UntrustedPodError(ProvisioningError):
    """The server does not have the pod's host key, or rejects the stack's key; nothing was sent to it."""


class InstallError(ProvisioningError):
    """A step of the installer failed on the pod."""


class ModelError(ProvisioningError):
    """A model cannot be installed as the manifest describes it."""


class DiskFullError(ModelError):
    """The volume has too little free space."""
