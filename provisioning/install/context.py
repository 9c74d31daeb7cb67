"""All that a step is given: what is to be reached, where, and how to speak of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from provisioning import contract
from provisioning.contract import ProvisionPlan, Secrets
from provisioning.host import environ
from provisioning.layout import Layout
from provisioning.progress import Progress


@dataclass(frozen=True)
class InstallContext:
    """One pod and one plan for it."""

    layout: Layout
    plan: ProvisionPlan
    secrets: Secrets
    environ: Mapping[str, str] = field(repr=False)
    """The pod's environment; never handed on whole."""
    progress: Progress
    bundle: Path
    """Directory of the uploaded bundle this installer runs from."""
    fence: Callable[[], None] = lambda: None
    """Raises InstallError when another pod may have taken the volume over; asked before the volume is changed."""

    @property
    def pod_id(self) -> str:
        """RunPod's id of this pod."""
        return self.environ.get("RUNPOD_POD_ID", "unknown")

    @property
    def volume_key(self) -> str:
        """What signs and seals on the volume."""
        return self.environ.get(contract.VOLUME_KEY_VARIABLE, "")

    @property
    def tool_env(self) -> dict[str, str]:
        """The environment for git, pip and apt."""
        return environ.for_tools(self.environ)
