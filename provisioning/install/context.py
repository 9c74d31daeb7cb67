"""The context of an installation step: plan, paths, secrets, and progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from provisioning import contract
from provisioning.contract import ProvisionPlan, Secrets
from provisioning.host import environ
from provisioning.layout import Layout
from provisioning.progress import ProgressLog


@dataclass(frozen=True)
class InstallContext:
    """A pod and the plan for it."""

    layout: Layout
    plan: ProvisionPlan
    secrets: Secrets
    environ: Mapping[str, str] = field(repr=False)
    """The pod's environment; it is never passed on as a whole."""
    progress: ProgressLog
    bundle: Path
    """Directory of the uploaded bundle that contains this installer."""
    fence: Callable[[], None] = lambda: None
    """Raises InstallError when another pod may have taken over the volume; called before the volume is changed."""

    @property
    def pod_id(self) -> str:
        """RunPod's id of this pod."""
        return self.environ.get("RUNPOD_POD_ID", "unknown")

    @property
    def volume_key(self) -> str:
        """The key that signs and encrypts files on the volume."""
        return self.environ.get(contract.VOLUME_KEY_VARIABLE, "")

    @property
    def tool_env(self) -> dict[str, str]:
        """The environment for git, pip and apt."""
        return environ.for_tools(self.environ)
