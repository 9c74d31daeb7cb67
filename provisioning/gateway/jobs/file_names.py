"""Detection of strings in a workflow that name files outside the owner's namespace.

Inputs that are known to name files are rewritten into the owner's namespace. Custom nodes have inputs that nothing
marks as file names; therefore every string in a workflow is checked, and one that could only be a path outside is
refused.
"""

from __future__ import annotations

import re
from typing import Any

from provisioning.gateway.upstream.owner_namespace import NAMESPACE_PATTERN

_ABSOLUTE = re.compile(r"(/|~[\w.-]*/)[^/\s]+(/[^\n]*)?|[A-Za-z]:[\\/][^\n]*|\\\\[^\n]*|file:[^\n]*", re.IGNORECASE)
_UPWARD = re.compile(r"(^|[\\/])\.\.([\\/]|$)")
_ANNOTATED = re.compile(r"\S ?\[(input|output|temp)\]\s*$")
"""ComfyUI's own mark for a file of another of its folders (folder_paths.annotated_filepath)."""

MAX_PATH = 4096
"""PATH_MAX of Linux: longer text names no file."""


def is_foreign(text: str) -> bool:
    """Return whether a string is a path outside the owner's files: absolute, upward, annotated, or in a namespace."""
    if NAMESPACE_PATTERN.search(text):
        return True
    if len(text) > MAX_PATH or "\n" in text:
        return False
    return bool(_ABSOLUTE.fullmatch(text.strip()) or _UPWARD.search(text) or _ANNOTATED.search(text))


def mentions_foreign(value: Any) -> bool:  # noqa: ANN401 - a client's JSON
    """Return whether any string in a value, however deep, is foreign."""
    if isinstance(value, str):
        return is_foreign(value)
    if isinstance(value, dict):
        return any(map(is_foreign, value)) or any(map(mentions_foreign, value.values()))
    return isinstance(value, list) and any(map(mentions_foreign, value))
