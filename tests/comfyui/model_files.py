"""Small model files: real `.safetensors` with a valid header and a tensor of noise that is always the same."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from tests.comfyui.files import put

KIB = 1024


@dataclass(frozen=True)
class Model:
    """A model file as a manifest names it."""

    name: str
    folder: str
    """ComfyUI's folder below models/."""
    path: str
    """Where it lies below the published directory, with slashes."""
    size_bytes: int
    sha256: str


MODELS = (
    ("checkpoints", "stand-in-sd.safetensors", 1024 * KIB),
    ("diffusion_models", "stand-in-flux.safetensors", 3072 * KIB),
    ("text_encoders", "clip_l.safetensors", 384 * KIB),
    ("text_encoders", "t5xxl_fp16.safetensors", 2048 * KIB),
    ("vae", "ae.safetensors", 512 * KIB),
    ("loras", "stand-in-paper.safetensors", 256 * KIB),
    ("loras", "stand-in-neon.safetensors", 256 * KIB),
)
"""Folder, name and size of the tensor in bytes. Text encoders and VAE are named as the real ones of FLUX are."""


def safetensors(name: str, tensor_bytes: int) -> bytes:
    """Return a `.safetensors` file with one half-precision tensor drawn from `name`."""
    header = {
        "__metadata__": {"format": "pt", "title": name, "note": "stand-in: noise in the form of a model"},
        "stand_in.weight": {"dtype": "F16", "shape": [tensor_bytes // 2], "data_offsets": [0, tensor_bytes]},
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    # Readers map the tensors into memory, so the header is filled with spaces until they begin on eight bytes.
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + hashlib.shake_256(name.encode()).digest(tensor_bytes)


def write_models(directory: Path) -> tuple[Model, ...]:
    """Write every model below `directory`/models and return what a manifest says of them."""
    return tuple(_write(directory, folder, name, tensor_bytes) for folder, name, tensor_bytes in MODELS)


def _write(directory: Path, folder: str, name: str, tensor_bytes: int) -> Model:
    body = safetensors(name, tensor_bytes)
    path = f"models/{folder}/{name}"
    put(directory / path, body)
    return Model(name, folder, path, len(body), hashlib.sha256(body).hexdigest())
