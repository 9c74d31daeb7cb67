"""The errors a person sees when an environment cannot be declared as it is written.

All descend from `pulumi.RunError`, which the engine prints as its message alone, without a traceback.
A message says what is wrong, where, and what to do next; it never holds a secret.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi


class DeclarationError(pulumi.RunError):
    """The environment cannot be declared; the message says what to change."""


class SettingsError(DeclarationError):
    """A stack file holds something it should not, or lacks something it needs.

    Attributes:
        faults: One sentence for each fault, so that all are mended in one go.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


class PlacementError(DeclarationError):
    """No GPU and data centre of the catalogue satisfy the settings."""


class NotOfferedError(PlacementError):
    """What the settings ask for exists, and RunPod offers none of it now: it concerns a new pod alone."""


class LockError(DeclarationError):
    """The lock file cannot be read, or contradicts the settings."""


class CatalogueError(DeclarationError):
    """RunPod could not be asked what it offers."""
