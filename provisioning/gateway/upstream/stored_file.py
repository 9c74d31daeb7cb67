"""A file in one of ComfyUI's folders."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StoredFile:
    """A file in one of ComfyUI's folders, by ComfyUI's own names."""

    type: str
    """output, temp or input."""
    subfolder: str
    filename: str
