"""Deletes files of ComfyUI's, as ComfyUI's own user: a mistake or a trap can cost no more than ComfyUI could itself.

Standard input is a JSON list of [folder, path] pairs; the arguments are ComfyUI's base directory and when the request
was written, in nanoseconds since the epoch: a file that was written later is a new one and stays.
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
"""The exit status when all was done but for what cannot be deleted, however often it is tried."""

_FINAL = frozenset({errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENAMETOOLONG, errno.EACCES, errno.EPERM})

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def delete_file(base: str, folder: str, path: str, asked_ns: int) -> None:
    """Delete one file that was not written after the request for it, and the folders above it that are empty then.

    What is gone already is as good as deleted. No link is followed on the way: a node may have put one anywhere.

    Raises:
        ValueError: The folder or the path is none that may be deleted, or a folder is there.
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
    # Not empty, or another job writes there just now: then it stays.
    with suppress(OSError):
        os.rmdir(name, dir_fd=directory)


def _delete(directory: int, name: str, asked_ns: int) -> None:
    found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    # A folder holds what belongs to many: it goes when it is empty, and never by its name.
    if stat.S_ISDIR(found.st_mode):
        raise ValueError(f"{name}: a folder, and only files are deleted")
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
    """Return the folders and paths that a request names; raises ValueError for one of another form."""
    pairs = json.loads(request)
    plain = isinstance(pairs, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in pairs)
    if not plain or not all(isinstance(text, str) for pair in pairs for text in pair):
        raise ValueError("not a list of folders and paths")
    return [(folder, path) for folder, path in pairs]


def _failures(base: str, asked_ns: int, request: bytes) -> Iterator[OSError | ValueError]:
    """Delete all that can be deleted, and yield why the rest cannot."""
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
    """Delete all that standard input names; ends with status 1 when something may be deleted later, else REFUSED."""
    failures = list(_failures(sys.argv[1], int(sys.argv[2]), sys.stdin.buffer.read()))
    for error in failures:
        sys.stderr.write(f"sweep: {error}\n")
    again = any(isinstance(error, OSError) and error.errno not in _FINAL for error in failures)
    sys.exit(1 if again else REFUSED if failures else 0)


if __name__ == "__main__":
    main()
