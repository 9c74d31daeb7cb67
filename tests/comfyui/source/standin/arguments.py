"""The command line: ComfyUI's flags, of which those that need a GPU have no effect."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LEVELS = {"DEBUG": 10, "DETAIL": 15, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
PREVIEW_METHODS = ("none", "auto", "latent2rgb", "taesd")

_SWITCHES = """
    date-based-output auto-launch disable-auto-launch cuda-malloc disable-cuda-malloc force-fp32 force-fp16 fp32-unet
    fp64-unet bf16-unet fp16-unet fp8_e4m3fn-unet fp8_e5m2-unet fp8_e8m0fnu-unet fp16-vae fp32-vae bf16-vae cpu-vae
    fp8_e4m3fn-text-enc fp8_e5m2-text-enc fp16-text-enc fp32-text-enc bf16-text-enc fp16-intermediates
    force-channels-last supports-fp8-compute enable-triton-backend disable-triton-backend cache-classic cache-none
    high-ram use-split-cross-attention use-quad-cross-attention use-pytorch-cross-attention use-sage-attention
    use-flash-attention use-ck-attention disable-xformers force-upcast-attention dont-upcast-attention enable-manager
    disable-manager-ui enable-manager-legacy-ui gpu-only highvram lowvram novram cpu disable-nvml-pressure
    disable-async-offload disable-dynamic-vram enable-dynamic-vram fast-disk disable-fast-disk disable-cuda-graphs
    disable-comfy-compiler assert-graph-breaks force-non-blocking disable-smart-memory deterministic debug-hang
    disable-pinned-memory mmap-torch-files disable-mmap dont-print-server quick-test-for-ci windows-standalone-build
    disable-metadata disable-all-custom-nodes disable-partner-nodes offline disable-api-nodes multi-user log-stdout
    enable-compress-response-body disable-assets enable-assets enable-asset-hashing list-feature-flags
"""

_VALUES: Mapping[str, Mapping[str, Any]] = {
    "listen": {"default": "127.0.0.1", "nargs": "?", "const": "0.0.0.0,::"},
    "port": {"type": int, "default": 8188},
    "tls-keyfile": {},
    "tls-certfile": {},
    "enable-cors-header": {"nargs": "?", "const": "*"},
    "max-upload-size": {"type": float, "default": 100.0},
    "base-directory": {},
    "extra-model-paths-config": {"nargs": "+", "action": "append"},
    "output-directory": {},
    "date-output-format": {},
    "temp-directory": {},
    "input-directory": {},
    "cuda-device": {},
    "default-device": {"type": int},
    "directml": {"type": int, "nargs": "?", "const": -1},
    "oneapi-device-selector": {},
    "preview-method": {"choices": PREVIEW_METHODS, "default": "none"},
    "preview-size": {"type": int, "default": 512},
    "cache-ram": {"type": float, "nargs": "*"},
    "cache-lru": {"type": int, "default": 0},
    "reserve-vram": {"type": float},
    "vram-headroom": {"type": float},
    "async-offload": {"type": int, "nargs": "?", "const": 2},
    "default-hashing-function": {"choices": ("md5", "sha1", "sha256", "sha512")},
    "fast": {"nargs": "*"},
    "whitelist-custom-nodes": {"nargs": "+", "default": []},
    "disabled-nodes-config": {},
    "verbose": {"nargs": "*", "action": "append", "default": []},
    "front-end-version": {},
    "comfy-api-base": {},
    "database-url": {},
    "feature-flag": {"action": "append"},
}


@dataclass(frozen=True)
class Options:
    """What the command line and the environment say, as far as the stand-in obeys it."""

    argv: tuple[str, ...]
    listen: str
    port: int
    base: Path
    output: Path | None
    temp: Path | None
    input: Path | None
    user: Path | None
    models: Path | None
    front_end: Path | None
    """The editor's files; without them the page says that there is no editor."""
    cors_origin: str | None
    max_upload_bytes: int
    previews: bool
    preview_size: int
    """Longest side of a preview, in pixels."""
    metadata: bool
    """Whether saved images carry the prompt that made them."""
    cache: bool
    custom_nodes: bool
    allowed_custom_nodes: tuple[str, ...]
    log_level: int
    log_stdout: bool
    step_seconds: float


def read(arguments: Sequence[str], environment: Mapping[str, str]) -> Options:
    """Read the command line; an unknown flag or a bad value ends the process with 2, as argparse does."""
    parser = _parser()
    found = parser.parse_args(arguments)
    return Options(
        argv=("main.py", *arguments),
        listen=found.listen,
        port=found.port,
        base=Path(found.base_directory or Path(__file__).parents[1]).absolute(),
        output=_path(found.output_directory),
        temp=_path(found.temp_directory),
        input=_path(found.input_directory),
        user=found.user_directory,
        models=found.models_directory,
        front_end=found.front_end_root,
        cors_origin=found.enable_cors_header,
        max_upload_bytes=round(found.max_upload_size * 1024 * 1024),
        previews=found.preview_method != "none",
        preview_size=found.preview_size,
        metadata=not found.disable_metadata,
        cache=not found.cache_none,
        custom_nodes=not found.disable_all_custom_nodes,
        allowed_custom_nodes=tuple(found.whitelist_custom_nodes),
        log_level=_log_level(parser, found.verbose),
        log_stdout=found.log_stdout,
        step_seconds=float(environment.get("STAND_IN_STEP_SECONDS", "0.05")),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="main.py", description="ComfyUI stand-in")
    for name in _SWITCHES.split():
        parser.add_argument(f"--{name}", action="store_true")
    for name, form in _VALUES.items():
        parser.add_argument(f"--{name}", **form)
    for name in ("user-directory", "models-directory", "front-end-root"):
        parser.add_argument(f"--{name}", type=_existing_directory)
    return parser


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text).absolute()


def _existing_directory(text: str) -> Path:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"The path '{text}' does not exist or is not a directory.")
    return Path(text).absolute()


def _log_level(parser: argparse.ArgumentParser, outputs: list[list[str]]) -> int:
    chosen = logging.INFO
    for words in outputs:
        if len(words) > 2 or (words and words[0] not in LEVELS):
            parser.error("--verbose expects no values, a console LEVEL, or LEVEL FILE")
        chosen = min(chosen, LEVELS[words[0]] if words else logging.DEBUG)
    return chosen
