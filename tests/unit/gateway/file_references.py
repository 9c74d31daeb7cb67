"""Files and assets as ComfyUI's answers and workflows refer to them."""

from __future__ import annotations

from typing import Any


def named(filename: str, subfolder: str = "", kind: str = "output") -> dict[str, str]:
    return {"filename": filename, "subfolder": subfolder, "type": kind}


def reference(asset_id: str) -> dict[str, Any]:
    return {"__type": "core/ASSET", "info": {"id": asset_id}}
