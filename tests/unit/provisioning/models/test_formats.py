"""Only files that hold numbers and no code are taken, and only under plain names."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from provisioning.contract import ModelPin
from provisioning.errors import ModelError
from provisioning.models import formats
from tests.unit.provisioning.conftest import safetensors


def _written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "file"
    path.write_bytes(data)
    return path


def _with_header(header: object, body: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def test_a_safetensors_file_is_taken(tmp_path: Path) -> None:
    formats.check(_written(tmp_path, safetensors(b"abc")), "a.safetensors")


def test_a_gguf_file_is_taken(tmp_path: Path) -> None:
    formats.check(_written(tmp_path, struct.pack("<4sIQQ", b"GGUF", 3, 1, 1)), "a.gguf")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04\x95pickle",
        struct.pack("<Q", 1 << 60) + b"{}",
        _with_header([1]),
        _with_header({"t": {"data_offsets": [0, 9]}}, b"short"),
        _with_header({"t": {"data_offsets": [5, 2]}}, b""),
        _with_header({"t": {}}),
        safetensors(b"abc") + b"more",
    ],
)
def test_a_false_safetensors_file_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ModelError):
        formats.check(_written(tmp_path, data), "a.safetensors")


@pytest.mark.parametrize(
    "data", [b"GGUF", struct.pack("<4sIQQ", b"GGML", 3, 1, 1), struct.pack("<4sIQQ", b"GGUF", 3, 1 << 60, 1)]
)
def test_a_false_gguf_file_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ModelError):
        formats.check(_written(tmp_path, data), "a.gguf")


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "a.ckpt"},
        {"name": "../a.safetensors"},
        {"name": ".safetensors"},
        {"name": "a/b.safetensors"},
        {"folder": "../custom_nodes"},
        {"folder": ""},
        {"sha256": "ABC"},
        {"url": ""},
        {"url": "file:///etc/passwd"},
    ],
)
def test_an_entry_that_could_do_harm_is_refused(changes: dict[str, str]) -> None:
    good = {"name": "a.safetensors", "folder": "loras", "url": "https://example.org/a", "sha256": "a" * 64}
    formats.validate(ModelPin(**good))  # type: ignore[arg-type]
    with pytest.raises(ModelError):
        formats.validate(ModelPin(**(good | changes)))  # type: ignore[arg-type]
