"""The folders of models, of input and of output."""

from __future__ import annotations

import mimetypes
import os
import shutil
from pathlib import Path

from .arguments import Options

MODEL_SUFFIXES = {".ckpt", ".pt", ".pt2", ".bin", ".pth", ".safetensors", ".pkl", ".sft", ".gguf"}

_KINDS = """
    checkpoints configs loras vae text_encoders diffusion_models clip_vision style_models embeddings diffusers
    vae_approx controlnet gligen upscale_models custom_nodes hypernetworks photomaker classifiers model_patches
    audio_encoders
"""

_FORMER_NAMES = {"text_encoders": "clip", "diffusion_models": "unet", "controlnet": "t2i_adapter"}
"""Folders that ComfyUI once used and still looks into."""


class Folders:
    """The directories of one ComfyUI; those that it writes to are made when missing."""

    def __init__(self, options: Options) -> None:
        self.models = options.models or options.base / "models"
        self.custom_nodes = options.base / "custom_nodes"
        self.user = options.user or options.base / "user"
        self.by_type = {
            "input": options.input or options.base / "input",
            "output": options.output or options.base / "output",
            "temp": (options.temp or options.base) / "temp",
        }
        self.kinds = tuple(_KINDS.split())
        # What is temporary does not outlive the process.
        shutil.rmtree(self.by_type["temp"], ignore_errors=True)
        for folder in (*self.by_type.values(), self.user):
            folder.mkdir(parents=True, exist_ok=True)

    def model_names(self, kind: str) -> list[str]:
        """Return the model files of a kind, by their path below its folder, sorted."""
        found = {
            path.relative_to(folder).as_posix()
            for folder in self._model_folders(kind)
            for path in folder.rglob("*")
            if path.suffix in MODEL_SUFFIXES and path.is_file()
        }
        return sorted(found)

    def model_path(self, kind: str, name: str) -> Path | None:
        """Return where a model lies, or None where there is no such file."""
        paths = (folder / name for folder in self._model_folders(kind))
        return next((path for path in paths if path.is_file()), None)

    def input_names(self) -> list[str]:
        """Return the files at the top of the input folder: what the image loaders offer."""
        return sorted(path.name for path in self.by_type["input"].iterdir() if path.is_file() and _is_picture(path))

    def annotated(self, name: str) -> Path | None:
        """Return the path of `name`, `name [output]` or `name [temp]`, or None if it is no file inside that folder."""
        plain, kind = split_annotation(name)
        return inside(self.by_type[kind or "input"], plain)

    def next_output(self, kind: str, prefix: str) -> tuple[Path, str, str, int]:
        """Return folder, file name's beginning, subfolder and next free number for images saved with `prefix`.

        Raises ValueError when the prefix leads out of the folder.
        """
        root = self.by_type[kind]
        subfolder, name = os.path.split(os.path.normpath(prefix))
        folder = Path(os.path.normpath(root / subfolder))
        if not folder.is_relative_to(root):
            raise ValueError(f"Saving image outside the output folder is not allowed: {prefix!r}")
        folder.mkdir(parents=True, exist_ok=True)
        numbers = [number for path in folder.iterdir() if (number := _number(path.name, name)) is not None]
        return folder, name, subfolder, max(numbers, default=0) + 1

    def _model_folders(self, kind: str) -> list[Path]:
        former = _FORMER_NAMES.get(kind)
        return [self.models / name for name in (kind, former) if name]


def split_annotation(name: str) -> tuple[str, str | None]:
    """Split `name [output]` into name and folder; the folder is None where the name has no annotation."""
    for kind in ("input", "output", "temp"):
        if name.endswith(f"[{kind}]"):
            return name[: -len(kind) - 2].rstrip(), kind
    return name, None


def inside(root: Path, name: str) -> Path | None:
    """Return the file `name` below `root`; None if there is none or if links or dots lead out of `root`."""
    path = Path(os.path.realpath(root / name))
    return path if path.is_file() and path.is_relative_to(os.path.realpath(root)) else None


def _is_picture(path: Path) -> bool:
    return (mimetypes.guess_type(path.name)[0] or "").startswith("image/")


def _number(file_name: str, prefix: str) -> int | None:
    digits = file_name.removeprefix(f"{prefix}_").split("_")[0]
    return int(digits) if file_name.startswith(f"{prefix}_") and digits.isdigit() else None
