"""ComfyUI's /system_stats, reduced to what users may know about the machine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from provisioning.gateway.upstream.owner_namespace import without_paths

SYSTEM = (
    "os", "ram_total", "ram_free", "comfyui_version", "required_frontend_version", "installed_templates_version",
    "required_templates_version", "python_version", "pytorch_version", "embedded_python", "deploy_environment",
)  # fmt: skip
"""Members of `system` that are passed on; `argv`, which contains paths, is always empty."""

DEVICE = ("name", "type", "index", "vram_total", "vram_free", "torch_vram_total", "torch_vram_free")
"""Members of each device that are passed on."""

_PLAIN = (str, int, float, type(None))


def for_clients(stats: Any) -> dict[str, Any]:  # noqa: ANN401 - ComfyUI's JSON
    """Return versions, memory and devices, without command line and paths; missing parts are empty."""
    reported = stats if isinstance(stats, dict) else {}
    devices = reported.get("devices")
    return {
        "system": _chosen(reported.get("system"), SYSTEM) | {"argv": []},
        "devices": [_chosen(device, DEVICE) for device in (devices if isinstance(devices, list) else ())],
    }


def _chosen(given: Any, names: Iterable[str]) -> dict[str, Any]:  # noqa: ANN401 - ComfyUI's JSON
    members = given if isinstance(given, dict) else {}
    return {name: _plain(members[name]) for name in names if isinstance(members.get(name, ()), _PLAIN)}


def _plain(value: object) -> object:
    return without_paths(value) if isinstance(value, str) else value
