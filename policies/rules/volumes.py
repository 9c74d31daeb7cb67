"""Data: the volume of production is protected."""

from __future__ import annotations

from collections.abc import Iterator

from pulumi_policy import EnforcementLevel

from policies.rules.rule import Properties, policy

VOLUME = "comfyui:index:ModelVolume"
PRODUCTION = "prod"


def unprotected(volume: Properties) -> Iterator[str]:
    """Warn about a production volume that a plan could delete or replace."""
    if volume.get("environment") == PRODUCTION and not volume.get("existingId") and not volume.get("protect"):
        yield (
            f"the volume of {PRODUCTION} is not protected, so a plan can delete it with all models, users and outputs: "
            f"set volume.protect: true in stacks/Pulumi.{PRODUCTION}.yaml, unless you are about to delete it"
        )


# Advisory: before production can be deleted, an update removes the protection, and that update has to pass.
POLICIES = [policy("production-volume-protected", VOLUME, unprotected, EnforcementLevel.ADVISORY)]
