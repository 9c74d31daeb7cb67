"""Which files of the store a workflow names, in the form in which ComfyUI gets it."""

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
"""Of so many strings of one workflow it is looked whether they name a file."""

PREFIX_INPUT = "filename_prefix"

_ANNOTATED = re.compile(r"(.+?) ?\[(input|output|temp)\]", re.DOTALL)
"""ComfyUI's own mark for a file of another of its folders (folder_paths.annotated_filepath)."""
_NUMBERED = re.compile(r"(.*_)([0-9]+)(_?\.[^.]*)", re.DOTALL)
"""What ComfyUI's own nodes save: `<prefix>_00001_.png`."""


def kept(graph: Graph, root: str) -> list[StoredCopy]:
    """Return the same with where they lie in the store."""
    return [StoredCopy(file, store_path_of(file)) for file in files(graph, root)]


def files(graph: Graph, root: str) -> set[StoredFile]:
    """Return what could be the files that a workflow names, those below a folder alone when `root` is not empty."""
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
    # A prompt is text, too: a name has an ending.
    if "." not in name[-12:] or not is_safe_name(name):
        return None
    subfolder, _, filename = name.rpartition("/")
    return StoredFile(folder, subfolder, filename)


def saved_to(graph: Graph) -> set[str]:
    """Return the folders below the output folder that a workflow saves to."""
    values = (value for node in graph.values() for name, value in node.get("inputs", {}).items() if _is_prefix(name))
    folders = {value.rpartition("/")[0] for value in values if isinstance(value, str)}
    # What ComfyUI puts in place of %date% and the like is not known here.
    return {folder for folder in folders if not folder or (is_safe_name(folder) and "%" not in folder)}


def _is_prefix(name: str) -> bool:
    return name.rpartition(".")[2] == PREFIX_INPUT


def highest(names: Iterable[str]) -> list[str]:
    """Return of numbered file names the one with the highest number for each beginning."""
    best: dict[str, tuple[int, str]] = {}
    for name in names:
        if numbered := _NUMBERED.fullmatch(name.rpartition("/")[2]):
            best[numbered[1]] = max(best.get(numbered[1], (-1, "")), (int(numbered[2]), name.rpartition("/")[2]))
    return [name for _, name in best.values()]
