"""Models: formats that cannot run code, downloaded over TLS, with a recorded hash."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from pulumi_policy import EnforcementLevel

from policies.rules.rule import Properties, policy

COMFYUI = "comfyui:index:ComfyUI"
SAFE_FORMATS = (".safetensors", ".gguf")
SHA256 = re.compile(r"[0-9a-f]{64}")


def unsafe_formats(comfyui: Properties) -> Iterator[str]:
    """Refuse model files in formats that can run code when they are opened."""
    for model in comfyui["models"]:
        if not model["name"].endswith(SAFE_FORMATS):
            yield f"{model['name']}: only {' and '.join(SAFE_FORMATS)} can be loaded safely; convert the model"


def open_transport(comfyui: Properties) -> Iterator[str]:
    """Refuse model addresses without TLS, where an attacker could replace the file."""
    for model in comfyui["models"]:
        url = urlsplit(model["url"])
        if model["url"] and url.scheme != "https" and url.hostname not in ("127.0.0.1", "localhost"):
            yield f"{model['name']}: {url.scheme}://{url.hostname} is not encrypted; use https"


def unknown_hashes(comfyui: Properties) -> Iterator[str]:
    """Refuse models without a recorded SHA-256 in environments that require one."""
    if comfyui["unknownHashes"] == "refuse":
        yield from _without_hash(comfyui)


def unrecorded_hashes(comfyui: Properties) -> Iterator[str]:
    """Warn about models without a recorded SHA-256."""
    if comfyui["unknownHashes"] == "warn":
        yield from _without_hash(comfyui)


def _without_hash(comfyui: Properties) -> Iterator[str]:
    for model in comfyui["models"]:
        if model["url"] and not SHA256.fullmatch(model["sha256"]):
            yield (
                f"{model['name']}: SHA-256 not known; record it in an environment that only warns: "
                "`make up ENV=dev`, `make lock ENV=dev`, and commit stacks/pins.lock.json"
            )


POLICIES = [
    policy("model-formats-are-safe", COMFYUI, unsafe_formats),
    policy("model-addresses-are-encrypted", COMFYUI, open_transport),
    policy("model-hashes-are-known", COMFYUI, unknown_hashes),
    policy("model-hashes-are-recorded", COMFYUI, unrecorded_hashes, EnforcementLevel.ADVISORY),
]
