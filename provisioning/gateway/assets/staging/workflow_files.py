"""The stored files that a rewritten workflow names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from provisioning.gateway.assets.store.paths import StoredCopy, store_path_of
from provisioning.gateway.upstream.owner_namespace import is_safe_name
from provisioning.gateway.upstream.stored_file import StoredFile

Graph = dict[str, dict[str, Any]]

MAX_NAMES = 2000
"""Most strings of one workflow that are considered as file names."""

PREFIX_INPUT = "filename_prefix"

_ANNOTATED = re.compile(r"(.+?) ?\[(input|output|temp)\]", re.DOTALL)
"""ComfyUI's annotation for a file in another folder (folder_paths.annotated_filepath)."""
_NUMBERED = re.compile(r"(.*_)([0-9]+)(_?\.[^.]*)", re.DOTALL)
"""The names that ComfyUI's own nodes save: `<prefix>_00001_.png`."""


def kept(graph: Graph, root: str) -> list[StoredCopy]:
    """Return the same files with their paths in the store."""
    return [StoredCopy(file, store_path_of(file)) for file in files(graph, root)]


def files(graph: Graph, root: str) -> set[StoredFile]:
    """Return the possible file names in a workflow, only those below `root` when it is not empty."""
    strings = (text for node in graph.values() for text in _strings(node.get("inputs")))
    found = (_file(text) for text in strings if not root or text.startswith(f"{root}/"))
    return set(islice((file for file in found if file is not None), MAX_NAMES))


def _strings(value: Any) -> Iterator[str]:  # noqa: ANN401 - a client's JSON
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def _file(text: str) -> StoredFile | None:
    marked = _ANNOTATED.fullmatch(text)
    name, folder = (marked[1], marked[2]) if marked else (text, "input")
    # Only texts with a file extension are names; prompts are texts too.
    if "." not in name[-12:] or not is_safe_name(name):
        return None
    subfolder, _, filename = name.rpartition("/")
    return StoredFile(folder, subfolder, filename)


def saved_to(graph: Graph) -> set[str]:
    """Return the folders below the output folder that a workflow saves to."""
    values = (value for node in graph.values() for name, value in node.get("inputs", {}).items() if _is_prefix(name))
    folders = {value.rpartition("/")[0] for value in values if isinstance(value, str)}
    # ComfyUI's substitutions for %date% and the like are unknown here.
    return {folder for folder in folders if not folder or (is_safe_name(folder) and "%" not in folder)}


def _is_prefix(name: str) -> bool:
    return name.rpartition(".")[2] == PREFIX_INPUT


def highest(names: Iterable[str]) -> list[str]:
    """Return the numbered file name with the highest number for each prefix."""
    best: dict[str, tuple[int, str]] = {}
    for name in names:
        if numbered := _NUMBERED.fullmatch(name.rpartition("/")[2]):
            best[numbered[1]] = max(best.get(numbered[1], (-1, "")), (int(numbered[2]), name.rpartition("/")[2]))
    return [name for _, name in best.values()]
