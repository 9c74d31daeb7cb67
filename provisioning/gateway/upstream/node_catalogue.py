"""The catalogue of ComfyUI's node classes, and which of their inputs name files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.upstream.client import ComfyUIClient
from provisioning.gateway.upstream.response_cache import ResponseCache

FRESH_SECONDS = 30.0
"""The response has megabytes and changes only with models or nodes."""

_UPLOAD_FLAGS = ("image_upload", "video_upload", "audio_upload", "file_upload", "animated_image_upload", "upload")

_KNOWN_FILE_INPUTS = frozenset(
    {
        ("LoadImage", "image"), ("LoadImageMask", "image"), ("LoadLatent", "latent"), ("LoadAudio", "audio"),
        ("LoadVideo", "file"), ("Load3D", "model_file"), ("Load3DAnimation", "model_file"),
    }
)  # fmt: skip
"""Inputs that name files even when a ComfyUI version does not flag them."""

_GROUPS = frozenset({"required", "optional"})


@dataclass(frozen=True)
class Catalogue:
    """A parsed response of /object_info."""

    everything: dict[str, Any]
    for_clients: dict[str, Any]
    """The response without the names of files in the shared input folder."""
    file_inputs: frozenset[tuple[str, str]]
    """(class, input) pairs whose value is a file name in the input folder."""


class CatalogueCache:
    """Requests /object_info at most once in FRESH_SECONDS."""

    def __init__(self, upstream: ComfyUIClient, clock: Clock) -> None:
        self._cache = ResponseCache(partial(_load, upstream), clock, FRESH_SECONDS)

    def forget(self) -> None:
        """Discard the cached response, which is out of date."""
        self._cache.clear()

    async def get(self) -> Catalogue:
        """Return the catalogue; raises Problem when the request fails."""
        return await self._cache.get("/object_info")


async def _load(upstream: ComfyUIClient, path: str) -> Catalogue:
    answer = await upstream.get_json(path)
    if not isinstance(answer, dict):
        raise Problem(Code.UPSTREAM_ERROR)
    return read(answer)


def read(everything: dict[str, Any]) -> Catalogue:
    """Parse a response of /object_info; classes with a malformed description are omitted and left to ComfyUI."""
    everything = {cls: info for cls, info in everything.items() if isinstance(info, dict)}
    flagged = {(cls, name) for cls, info in everything.items() for name, spec in _inputs(info) if _names_files(spec)}
    file_inputs = frozenset(flagged | _KNOWN_FILE_INPUTS)
    for_clients = orjson.loads(orjson.dumps(everything))
    for cls, info in for_clients.items():
        for name, spec in _inputs(info):
            if (cls, name) in file_inputs:
                _forget_files(spec)
    return Catalogue(everything, for_clients, file_inputs)


def _inputs(info: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - ComfyUI's JSON
    """Yield every input by name; inputs inside a dynamic one, at any depth, as `*.` and the stem of their name."""
    groups = info.get("input", {}) if isinstance(info, dict) else {}
    for name, spec in _members(groups):
        yield name, spec
        for inner, inner_spec in _dynamic(_options(spec)):
            yield f"*.{leaf(inner)}", inner_spec


def leaf(name: str) -> str:
    """Return the last part of a dynamic input's name without its number: `image` for `images.image0`."""
    return name.rpartition(".")[2].rstrip("0123456789")


def _members(groups: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - ComfyUI's JSON
    for group in groups.values() if isinstance(groups, dict) else ():
        if isinstance(group, dict):
            yield from group.items()


def _dynamic(value: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - ComfyUI's JSON
    """Yield the inputs below `required` or `optional` anywhere in a dynamic input's options."""
    if isinstance(value, dict):
        if _GROUPS & value.keys():
            yield from _members({group: value[group] for group in _GROUPS & value.keys()})
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        yield from _dynamic(item)


def _options(spec: Any) -> dict[str, Any]:  # noqa: ANN401 - ComfyUI's JSON
    return spec[1] if isinstance(spec, list) and len(spec) > 1 and isinstance(spec[1], dict) else {}


def _names_files(spec: Any) -> bool:  # noqa: ANN401 - ComfyUI's JSON
    options = _options(spec)
    return any(options.get(flag) for flag in _UPLOAD_FLAGS)


def _forget_files(spec: Any) -> None:  # noqa: ANN401 - ComfyUI's JSON
    if isinstance(spec, list) and spec and isinstance(spec[0], list):
        spec[0] = []
    if "options" in _options(spec):
        spec[1]["options"] = []
