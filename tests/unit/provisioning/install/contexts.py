"""The context of an installation, for tests of its steps."""

from __future__ import annotations

from dataclasses import replace

from provisioning.contract import GatewayPlan, ModelPin, ProvisionPlan, Secrets, SourcePin
from provisioning.install.context import InstallContext
from provisioning.layout import Layout
from provisioning.progress import ProgressLog

COMMIT = "c" * 40


def context(layout: Layout, progress: ProgressLog, **changes: object) -> InstallContext:
    plan = ProvisionPlan(
        comfyui=SourcePin("comfyui", "https://example.org/c.git", "v0.38.0", COMMIT),
        nodes=(SourcePin("border", "https://example.org/n.git", "v1", COMMIT),),
        models=(ModelPin("a.safetensors", "loras", "https://example.org/a", "a" * 64),),
        gateway=GatewayPlan({}, 0.5),
    )
    bundle = layout.bundles / "digest"
    (bundle / "provisioning/gateway").mkdir(parents=True, exist_ok=True)
    (bundle / "provisioning/gateway/requirements.lock").write_text("lock")
    secrets = Secrets("pepper", "client", "admin")
    return InstallContext(layout, replace(plan, **changes), secrets, {}, progress, bundle)  # type: ignore[arg-type]
