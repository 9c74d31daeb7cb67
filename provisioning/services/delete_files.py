"""Delete files of ComfyUI as ComfyUI's user, so that an error or attack has no more rights than ComfyUI itself.

Standard input is a JSON list of [folder, path] pairs; the arguments are ComfyUI's base directory and the time of the
request in nanoseconds since the epoch. Files that were written later are new and are kept.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from provisioning.helper_requests import FOLDERS

REFUSED = 3
"""Exit status when the remaining files can never be deleted."""

_FINAL = frozenset({errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENAMETOOLONG, errno.EACCES, errno.EPERM})

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def delete_file(base: str, folder: str, path: str, asked_ns: int) -> None:
    """Delete one file if it was not written after the request, and its parent folders if they are then empty.

    A missing file counts as deleted. Links are not followed, because a node may have created one anywhere.

    Raises:
        ValueError: The folder or the path is not allowed, or the path is a folder.
        OSError: It cannot be deleted.
    """
    parts = path.split("/")
    if folder not in FOLDERS or any(part in {"", ".", ".."} for part in parts):
        raise ValueError(f"{folder}/{path}: not a path below input, output or temp")
    with suppress(FileNotFoundError), _opened(os.path.join(base, folder)) as root:  # noqa: PTH118 - beside descriptors
        _delete_below(root, parts, asked_ns)


def _delete_below(directory: int, parts: list[str], asked_ns: int) -> None:
    name, *rest = parts
    if not rest:
        _delete(directory, name, asked_ns)
        return
    with _opened(name, directory) as inner:
        _delete_below(inner, rest, asked_ns)
    # It is not empty, or another job is writing there.
    with suppress(OSError):
        os.rmdir(name, dir_fd=directory)


def _delete(directory: int, name: str, asked_ns: int) -> None:
    found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    # A folder can contain files of several owners, so it is deleted only when it is empty.
    if stat.S_ISDIR(found.st_mode):
        raise ValueError(f"{name}: is a folder, and only files can be deleted")
    if found.st_mtime_ns <= asked_ns:
        os.unlink(name, dir_fd=directory)


@contextmanager
def _opened(path: str, directory: int | None = None) -> Iterator[int]:
    descriptor = os.open(path, _DIRECTORY, dir_fd=directory)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _pairs(request: bytes) -> list[tuple[str, str]]:
    """Parse a request; raises ValueError when it is invalid."""
    pairs = json.loads(request)
    plain = isinstance(pairs, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in pairs)
    if not plain or not all(isinstance(text, str) for pair in pairs for text in pair):
        raise ValueError("not a list of folders and paths")
    return [(folder, path) for folder, path in pairs]


def _failures(base: str, asked_ns: int, request: bytes) -> Iterator[OSError | ValueError]:
    """Delete the files, and yield an error for each failure."""
    try:
        pairs = _pairs(request)
    except ValueError as error:
        yield error
        return
    for folder, path in pairs:
        try:
            delete_file(base, folder, path, asked_ns)
        except (OSError, ValueError) as error:
            yield error


def main() -> None:
    """Delete the files on standard input; exit with 1 when a retry may succeed, or REFUSED when it cannot."""
    failures = list(_failures(sys.argv[1], int(sys.argv[2]), sys.stdin.buffer.read()))
    for error in failures:
        sys.stderr.write(f"delete_files: {error}\n")
    again = any(isinstance(error, OSError) and error.errno not in _FINAL for error in failures)
    sys.exit(1 if again else REFUSED if failures else 0)


if __name__ == "__main__":
    main()
