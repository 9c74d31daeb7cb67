"""Deletes files of ComfyUI's, as ComfyUI's own user: a mistake or a trap can cost no more than ComfyUI could itself.

Standard input is a JSON list of [folder, path] pairs; the one argument is ComfyUI's base directory.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from provisioning.requests import FOLDERS

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def sweep(base: str, folder: str, path: str) -> None:
    """Delete one file, and the folders above it that are empty then.

    What is gone already is as good as deleted. No link is followed on the way: a node may have put one anywhere.

    Raises:
        ValueError: The folder or the path is none that may be deleted, or a folder is there.
        OSError: It cannot be deleted.
    """
    parts = path.split("/")
    if folder not in FOLDERS or any(part in {"", ".", ".."} for part in parts):
        raise ValueError(f"{folder}/{path}: not a path below input, output or temp")
    with suppress(FileNotFoundError), _opened(os.path.join(base, folder)) as root:  # noqa: PTH118 - beside descriptors
        _sweep_below(root, parts)


def _sweep_below(directory: int, parts: list[str]) -> None:
    name, *rest = parts
    if not rest:
        _delete(directory, name)
        return
    with _opened(name, directory) as inner:
        _sweep_below(inner, rest)
    # Not empty, or another job writes there just now: then it stays.
    with suppress(OSError):
        os.rmdir(name, dir_fd=directory)


def _delete(directory: int, name: str) -> None:
    # A folder holds what belongs to many: it goes when it is empty, and never by its name.
    if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        raise ValueError(f"{name}: a folder, and only files are deleted")
    os.unlink(name, dir_fd=directory)


@contextmanager
def _opened(path: str, directory: int | None = None) -> Iterator[int]:
    descriptor = os.open(path, _DIRECTORY, dir_fd=directory)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def main() -> None:
    """Delete all that standard input names; ends with status 1 when something could not be deleted."""
    failed = 0
    for folder, path in json.load(sys.stdin):
        try:
            sweep(sys.argv[1], folder, path)
        except (OSError, ValueError) as error:
            failed += 1
            sys.stderr.write(f"sweep: {error}\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
