"""Allowed formats of model files, which contain no code, and validation of their headers."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

from provisioning.contract import ModelPin
from provisioning.errors import ModelError

SUFFIXES = (".safetensors", ".gguf")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+()-]{0,199}")
FOLDER = re.compile(r"[a-z0-9][a-z0-9_]{0,63}")

# The format's limit for a safetensors header; a larger one could exhaust the reader's memory.
MAX_HEADER = 100_000_000
GGUF_VERSIONS = (2, 3)
MAX_GGUF_ENTRIES = 10_000_000


def validate(pin: ModelPin) -> None:
    """Refuse an entry that cannot be installed safely; raises ModelError naming it."""
    if not NAME.fullmatch(pin.name) or not pin.name.endswith(SUFFIXES):
        raise ModelError(f"model {pin.name!r}: the name must be a plain file name ending in {' or '.join(SUFFIXES)}")
    if not FOLDER.fullmatch(pin.folder):
        raise ModelError(f"model {pin.name}: {pin.folder!r} is not a folder of ComfyUI's models directory")
    if pin.sha256 and not re.fullmatch(r"[0-9a-f]{64}", pin.sha256):
        raise ModelError(f"model {pin.name}: sha256 must be 64 lower-case hexadecimal digits")
    if not pin.url and not pin.optional:
        raise ModelError(f"model {pin.name}: no URL; set it in the stack file or mark the model optional")
    if pin.url and not pin.url.startswith(("https://", "http://")):
        raise ModelError(f"model {pin.name}: the URL must begin with https:// (http:// for local tests)")


def check(path: Path, name: str) -> None:
    """Validate the header of a file that will be named `name`; raises ModelError when it is invalid."""
    try:
        if name.endswith(".safetensors"):
            _check_safetensors(path)
        else:
            _check_gguf(path)
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise ModelError(f"model {name}: not a valid file of its format ({error}); check its URL") from error


def _check_safetensors(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if not 2 <= length <= min(MAX_HEADER, size - 8):
            raise ValueError(f"its header claims {length} bytes of {size}")
        header: Any = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise TypeError("its header is not an object")
    ends = [_end_of(entry) for name, entry in header.items() if name != "__metadata__"]
    if max(ends, default=0) != size - 8 - length:
        raise ValueError("its tensors do not fill the file")


def _end_of(entry: dict[str, Any]) -> int:
    begin, end = entry["data_offsets"]
    if not 0 <= begin <= end:
        raise ValueError("a tensor ends before it begins")
    return int(end)


def _check_gguf(path: Path) -> None:
    with path.open("rb") as file:
        magic, version, tensors, pairs = struct.unpack("<4sIQQ", file.read(24))
    if magic != b"GGUF" or version not in GGUF_VERSIONS:
        raise ValueError("it does not have the header of a GGUF file of version 2 or 3")
    if max(tensors, pairs) > MAX_GGUF_ENTRIES:
        raise ValueError("it claims too many entries")
