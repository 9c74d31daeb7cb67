"""Custom nodes: the deny list, and the directory from which ComfyUI loads them."""

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
"""Lower-case names with `-` for `_`; the gateway's allow list of node classes is the second line of defence."""


def refuse_denied(pin: SourcePin) -> None:
    """Raise InstallError for a node on the deny list, by its name or its repository."""
    path = unquote(urlsplit(pin.repository).path).rstrip("/")
    repository = path.removesuffix(".git").rsplit("/", 1)[-1]
    for name in (pin.name, repository):
        reason = DENIED.get(name.lower().replace("_", "-"))
        if reason:
            raise InstallError(f"custom node {name} is refused ({reason}); remove it from the stack file")


def directory(layout: Layout, pin: SourcePin) -> Path:
    """Return the path of a node's checkout."""
    return layout.sources / "nodes" / pin.name / pin.commit


def linked(layout: Layout, pins: Iterable[SourcePin]) -> bool:
    """Return whether ComfyUI's node directory contains exactly these nodes."""
    wanted = {pin.name: directory(layout, pin).resolve() for pin in pins}
    entries = list(layout.nodes.iterdir()) if layout.nodes.is_dir() else []
    return {entry.name: entry.resolve() for entry in entries} == wanted


def link_all(layout: Layout, pins: Iterable[SourcePin]) -> None:
    """Link exactly these nodes in ComfyUI's node directory; remove all other entries."""
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
