"""Custom nodes: which may not be installed at all, and the directory ComfyUI loads them from."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from provisioning.contract import SourcePin
from provisioning.errors import InstallError
from provisioning.host.files import link
from provisioning.layout import Layout

DENIED = {
    "comfyui-manager": "installs code on request",
    "comfyui-shell-executor": "runs shell commands from workflows",
    "comfyui-fill-nodes": "runs Python from workflows",
    "srl-nodes": "runs Python from workflows",
    "comfyui-ruiqunodes": "runs Python from workflows",
    "comfyui-ace-nodes": "CVE-2024-21577: runs Python from workflows",
    "comfyui-bmad-nodes": "CVE-2024-21576: runs Python from workflows",
    "comfyui-llmvision": "carried a credential stealer",
    "comfyui-upscaler-4k": "carried a credential stealer",
    "lonemilk-upscalernew-4k": "carried a credential stealer",
}
"""Names without case and with `_` as `-`; the gateway's allow-list of node classes is the second line."""


def refuse_denied(pin: SourcePin) -> None:
    """Raise InstallError for a node on the deny list, whatever it is called in the stack file."""
    path = unquote(urlsplit(pin.repository).path).rstrip("/")
    repository = path.removesuffix(".git").rsplit("/", 1)[-1]
    for name in (pin.name, repository):
        reason = DENIED.get(name.lower().replace("_", "-"))
        if reason:
            raise InstallError(f"custom node {name} is refused ({reason}); remove it from the stack file")


def directory(layout: Layout, pin: SourcePin) -> Path:
    """Return where a node's checkout lies."""
    return layout.sources / "nodes" / pin.name / pin.commit


def linked(layout: Layout, pins: Iterable[SourcePin]) -> bool:
    """Say whether ComfyUI's node directory holds exactly these nodes."""
    wanted = {pin.name: directory(layout, pin).resolve() for pin in pins}
    entries = list(layout.nodes.iterdir()) if layout.nodes.is_dir() else []
    return {entry.name: entry.resolve() for entry in entries} == wanted


def link_all(layout: Layout, pins: Iterable[SourcePin]) -> None:
    """Make ComfyUI's node directory hold exactly these nodes; what else lies there goes."""
    pins = tuple(pins)
    layout.nodes.mkdir(parents=True, exist_ok=True)
    for pin in pins:
        link(layout.nodes / pin.name, directory(layout, pin))
    for entry in layout.nodes.iterdir():
        if entry.name not in {pin.name for pin in pins}:
            _remove(entry)


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()
