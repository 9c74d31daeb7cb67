"""The result of an installation, for outputs and the lock file."""

from __future__ import annotations

from typing import Any

from provisioning.install import sources
from provisioning.install.context import InstallContext
from provisioning.install.paths import InstallPaths
from provisioning.models import store
from provisioning.services import isolation


def result_of(context: InstallContext) -> dict[str, Any]:
    """Return the result; equal installations have equal results."""
    version = sources.version(InstallPaths(context).comfyui_source) or ()
    return {
        "comfyuiCommit": context.plan.comfyui.commit,
        "comfyuiVersion": ".".join(map(str, version)),
        "nodes": [{"name": pin.name, "commit": pin.commit} for pin in context.plan.nodes],
        "isolation": isolation.current(context.layout).value,
        "models": _models(context),
        "missingModels": [pin.name for pin in context.plan.models if not pin.url],
    }


def _models(context: InstallContext) -> list[dict[str, Any]]:
    found = ((pin, store.stored(context.layout, pin)) for pin in context.plan.models if pin.url)
    return [
        {"name": pin.name, "folder": pin.folder, "sha256": have.sha256, "sizeBytes": have.size}
        for pin, have in found
        if have
    ]
