"""Pins: sources run at a reviewed commit, of a version without known vulnerabilities."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policies.rules.rule import Properties, policy

COMFYUI = "comfyui:index:ComfyUI"
COMMIT = re.compile(r"[0-9a-f]{40}")

SAFE_COMFYUI = (0, 28, 0)
"""First release without CVE-2026-56670 to 56673 and, together with SAFE_TORCH, CVE-2026-68771."""

SAFE_TORCH = (2, 6)
"""First release that does not run code from a checkpoint by default."""


def unpinned_sources(comfyui: Properties) -> Iterator[str]:
    """Refuse ComfyUI or a custom node that is not pinned to a full commit."""
    for source in ({"name": "ComfyUI", "commit": comfyui["commit"]}, *comfyui["nodes"]):
        if not COMMIT.fullmatch(source["commit"] or ""):
            yield f"{source['name']}: commit {source['commit']!r} is not a full commit id of 40 hexadecimal digits"


def old_comfyui(comfyui: Properties) -> Iterator[str]:
    """Refuse ComfyUI before 0.28.0, which lets unauthenticated callers read and write files."""
    if version(comfyui["ref"]) < SAFE_COMFYUI:
        yield f"comfyui.ref {comfyui['ref']!r} is not a release from v0.28.0 on; choose a newer tag and its commit"


def old_torch(comfyui: Properties) -> Iterator[str]:
    """Refuse PyTorch before 2.6, which can run code hidden in a model."""
    if version(comfyui["torch"]) < SAFE_TORCH:
        yield f"PyTorch {comfyui['torch']!r} is older than 2.6; choose a newer pod.image and pod.torch"


def version(text: str) -> tuple[int, ...]:
    """Return a release's numbers, empty (older than all) when the text is not a release such as v0.28.0 or 2.8.0."""
    match = re.fullmatch(r"v?(\d+(?:\.\d+)+)", text)
    return tuple(map(int, match[1].split("."))) if match else ()


POLICIES = [
    policy("sources-are-pinned", COMFYUI, unpinned_sources),
    policy("comfyui-is-recent", COMFYUI, old_comfyui),
    policy("torch-is-recent", COMFYUI, old_torch),
]
