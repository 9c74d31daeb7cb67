"""Isolation of owners' files inside ComfyUI: each owner has a folder of its own.

ComfyUI has one input and one output folder for all users. The gateway places each owner's files below a folder whose
name is an HMAC: it cannot be guessed from the owner's name, and the gateway removes it from every response and refuses
it in every request.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from provisioning.gateway.upstream.stored_file import StoredFile

NAMESPACE_PATTERN = re.compile(r"\bu[/\\]+[0-9a-f]{20}\b")
"""Matches the folder of any owner; requests that contain one are refused."""

NAMESPACES_FOLDER = "u"
"""The parent of the owners' folders."""

MADE_IN = frozenset({"output", "temp"})
"""The folders that jobs write to."""

_SECRET_MEMBERS = frozenset({"traceback", "current_inputs", "current_outputs"})
_ERROR_TEXTS = frozenset({"exception_message", "message", "details", "received_value", "exception_type"})
_ABSOLUTE_PATH = re.compile(r"(?<![\w:/.])(?:/[\w.@+-]+){2,}/?|\b[A-Za-z]:\\[\w.\\ -]+")
_BAD_NAME = re.compile(r"[\x00-\x1f\x7f\\:*?\"<>|]")


@dataclass(frozen=True)
class OwnerNamespace:
    """One owner's part of ComfyUI's folders; for an admin, all of them."""

    root: str
    """`u/` and 20 hexadecimal digits; empty for an admin."""

    def add_root(self, subfolder: str) -> str:
        """Return ComfyUI's name for the owner's `subfolder`."""
        return "/".join(filter(None, (self.root, subfolder)))

    def strip_root(self, subfolder: str) -> str:
        """Return the owner's name for ComfyUI's `subfolder`; one outside the namespace keeps its name."""
        if self.root and (subfolder + "/").startswith(self.root + "/"):
            return subfolder[len(self.root) + 1 :]
        return subfolder

    def is_in_job_folder(self, file: StoredFile, job_id: str) -> bool:
        """Return whether a file is below the job's own folder, where only that job can have written it."""
        return bool(self.root) and (file.subfolder + "/").startswith(f"{self.root}/{job_id}/")

    def may_contain(self, file: StoredFile, job_id: str) -> bool:
        """Return whether a job could have made a file: in its own folder, or outside the folders of all owners.

        Nodes may repeat a caller's input in their outputs, so that a name in an output proves nothing by itself.
        """
        plain = is_safe_name(file.filename) and "/" not in file.filename
        inside = not file.subfolder or is_safe_name(file.subfolder)
        if file.type not in MADE_IN or not plain or not inside:
            return False
        path = "/".join(filter(None, (file.subfolder, file.filename)))
        return self.is_in_job_folder(file, job_id) or not (path == NAMESPACES_FOLDER or NAMESPACE_PATTERN.match(path))

    def clean(self, value: Any) -> Any:  # noqa: ANN401 - any JSON that ComfyUI sends
        """Return `value` with the owner's names, without tracebacks, inputs of nodes, and absolute paths in errors."""
        if isinstance(value, dict):
            return {
                self._text(key): self._member(key, item) for key, item in value.items() if key not in _SECRET_MEMBERS
            }
        if isinstance(value, list):
            return [self.clean(item) for item in value]
        return self._text(value) if isinstance(value, str) else value

    def _member(self, key: str, item: Any) -> Any:  # noqa: ANN401 - any JSON that ComfyUI sends
        if key == "subfolder" and isinstance(item, str):
            return self.strip_root(item)
        if key in _ERROR_TEXTS and isinstance(item, str):
            return without_paths(self._text(item))
        return self.clean(item)

    def _text(self, text: str) -> str:
        return text.replace(self.root + "/", "").replace(self.root, "") if self.root else text


@functools.lru_cache(maxsize=4096)
def namespace_of(pepper: str, owner: str, *, admin: bool) -> OwnerNamespace:
    """Return the namespace of an owner."""
    if admin:
        return OwnerNamespace("")
    name = hmac.new(pepper.encode(), b"realm:" + owner.encode(), hashlib.sha256).hexdigest()[:20]
    return OwnerNamespace(f"u/{name}")


def without_paths(text: str) -> str:
    """Return an error message with absolute paths replaced."""
    return _ABSOLUTE_PATH.sub("<path>", text)


def is_safe_name(name: str) -> bool:
    """Return whether a relative file name stays below the folder it is joined to, on every operating system."""
    if not 0 < len(name) <= 255 or _BAD_NAME.search(name) or name.startswith("/"):
        return False
    return all(part not in {"", ".", ".."} and part == part.strip() for part in name.split("/"))


def files_in(value: Any) -> Iterator[StoredFile]:  # noqa: ANN401 - any JSON that ComfyUI sends
    """Yield every file that a job's outputs name, under any key."""
    if isinstance(value, dict):
        if isinstance(value.get("filename"), str):
            yield StoredFile(str(value.get("type", "output")), str(value.get("subfolder", "")), value["filename"])
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from files_in(item)
