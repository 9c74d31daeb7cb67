"""Files written once, whole or not at all, with the same permissions whatever the umask is."""

from __future__ import annotations

import secrets
from pathlib import Path

_FILE_MODE = 0o644
_FOLDER_MODE = 0o755
_SOURCE_SUFFIXES = {".py", ".txt", ".md", ".html", ".js"}
"""Caches of compilers and checkers lie beside the sources; what is published must not depend on them."""


def put(path: Path, body: bytes, *, named_by_content: bool = False) -> None:
    """Make `path` hold `body`, readable by everybody; leaves the file alone when it does already.

    A file named by its content is not even read: files appear whole, so the name vouches for what is in it.
    """
    if path.is_file() and (named_by_content or path.read_bytes() == body):
        return
    _make_folder(path.parent)
    # A name of its own for each writer: two of them may publish at once, and both write the same bytes.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        draft.write_bytes(body)
        draft.chmod(_FILE_MODE)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _make_folder(path: Path) -> None:
    if path.is_dir():
        return
    _make_folder(path.parent)
    try:
        path.mkdir()
    except FileExistsError:
        return
    path.chmod(_FOLDER_MODE)


def source_files(folder: Path) -> dict[str, bytes]:
    """Return the text files below `folder` by their path with slashes, with line ends as in the repository."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes().replace(b"\r\n", b"\n")
        for path in sorted(folder.rglob("*"))
        if path.suffix in _SOURCE_SUFFIXES and not path.name.startswith(".")
    }
