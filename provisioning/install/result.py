"""What an installation came to, for outputs and the lock file."""

from __future__ import annotations

from typing import Any

from provisioning.install import sources
from provisioning.install.site import Site
from provisioning.install.targets import Targets
from provisioning.models import store
from provisioning.services import isolation


def of(site: Site) -> dict[str, Any]:
    """Return the result; equal installations give equal ones."""
    version = sources.version(Targets(site).comfyui_source) or ()
    return {
        "comfyuiCommit": site.plan.comfyui.commit,
        "comfyuiVersion": ".".join(map(str, version)),
        "nodes": [{"name": pin.name, "commit": pin.commit} for pin in site.plan.nodes],
        "isolation": isolation.current(site.layout).value,
        "models": _models(site),
        "missingModels": [pin.name for pin in site.plan.models if not pin.url],
    }


def _models(site: Site) -> list[dict[str, Any]]:
    found = ((pin, store.stored(site.layout, pin)) for pin in site.plan.models if pin.url)
    return [
        {"name": pin.name, "folder": pin.folder, "sha256": have.sha256, "sizeBytes": have.size}
        for pin, have in found
        if have
    ]
