"""Strings of a workflow that name files: which of them are none of their sender's business.

Where a node's input is known to name a file it is moved into its owner's realm. Custom nodes have inputs that nothing
marks as such; so every string anywhere in a workflow is looked at, and one that could only be a way out is refused.
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
    """Return whether a string leads to files outside its owner's own: absolute, upward, marked, or another's realm."""
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
