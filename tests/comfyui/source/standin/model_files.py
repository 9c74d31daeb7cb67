"""Reading of `.safetensors` headers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_HEADER_LIMIT = 100 * 1024 * 1024
"""Bytes; the format's own bound."""


class SafetensorError(Exception):
    """The file is not a `.safetensors` file, or not the whole of one; named as the real reader's error is."""

    __module__ = "safetensors_rust"


def read_header(path: Path) -> dict[str, Any]:
    """Return the header of a `.safetensors` file; raises SafetensorError when header and file do not agree."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        text = file.read(length) if length <= _HEADER_LIMIT else b""
    try:
        header: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise SafetensorError(f"Error while deserializing header: {error} ({path.name})") from error
    ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
    if path.stat().st_size != 8 + length + max(ends, default=0):
        raise SafetensorError(
            f"Error while deserializing header: incomplete metadata, file not fully covered ({path.name})"
        )
    return header
