"""Errors in the declaration of an environment.

All descend from `pulumi.RunError`, which the engine prints as its message alone, without a traceback.
A message contains the fault, its place and a remedy, and never a secret.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi


class DeclarationError(pulumi.RunError):
    """The environment cannot be declared; the message says what to change."""


class StackSettingsError(DeclarationError):
    """A stack file has an unknown, invalid or missing key.

    Attributes:
        faults: One sentence for each fault, so that all can be corrected at once.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


class PlacementError(DeclarationError):
    """No GPU and data centre of the catalogue satisfy the settings."""


class NotOfferedError(PlacementError):
    """The requested GPU exists, but RunPod does not offer it now; a running pod is not affected."""


class LockError(DeclarationError):
    """The lock file cannot be read, or contradicts the settings."""


class CatalogueError(DeclarationError):
    """RunPod's catalogue could not be read."""
