"""Starts a program with parts of the file system out of its reach: Landlock, the kernel's own sandbox.

It stands alone (no import of ours), for it runs as ComfyUI's user: `confine.py --landlock --hide A --read B --write C
-- command`. Whatever is not hidden stays as the user has it; below what is hidden, `--read` and `--write` open parts.
Only files are ruled, never ioctls of devices: a GPU works as before.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

MINIMUM_ABI = 3
"""The first that rules truncation too (Linux 6.2); without it a file that can be read could be emptied."""

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
NO_NEW_PRIVILEGES = 38
READ = 1 << 0 | 1 << 2 | 1 << 3
"""LANDLOCK_ACCESS_FS_EXECUTE, READ_FILE and READ_DIR."""
EVERYTHING = (1 << 15) - 1
"""All rights over files of ABI 3; LANDLOCK_ACCESS_FS_IOCTL_DEV, bit 15, is left alone."""
OF_A_FILE = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14
"""What a rule for something that is no directory may grant: execute, write, read, truncate."""
WAIT_SECONDS = 0.2


class _Rule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("access", ctypes.c_uint64), ("descriptor", ctypes.c_int32))


def abi() -> int:
    """Return the version of Landlock that the kernel offers; 0 where there is none."""
    found: int = ctypes.CDLL(None).syscall(CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    return max(0, found)


def is_available() -> bool:
    """Say whether the kernel can confine a program as this module needs it."""
    return abi() >= MINIMUM_ABI


def open_parts(top: Path, hidden: Sequence[Path]) -> Iterator[Path]:
    """Yield the largest trees below `top` that neither hold nor are one of the hidden ones."""
    if top in hidden:
        return
    if not any(top in path.parents for path in hidden):
        yield top
        return
    for child in sorted(top.iterdir()):
        # What a link leads to is reached through a rule of its own place, or is not to be reached.
        if not child.is_symlink():
            yield from open_parts(child, hidden)


class Ruleset:
    """A Landlock ruleset that is being filled."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        handled = ctypes.c_uint64(EVERYTHING)
        self._descriptor = self._call(CREATE_RULESET, ctypes.byref(handled), ctypes.c_size_t(8), 0)

    def allow(self, path: Path, access: int) -> None:
        """Grant rights over a file, or over a directory and all below it; what is not there is passed over."""
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return
        try:
            whole = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            rule = _Rule(access if whole else access & OF_A_FILE, descriptor)
            self._call(ADD_RULE, self._descriptor, 1, ctypes.byref(rule), 0)
        finally:
            os.close(descriptor)

    def enforce(self) -> None:
        """Confine this process and all it will ever start."""
        if self._libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")
        self._call(RESTRICT_SELF, self._descriptor, 0)
        os.close(self._descriptor)

    def _call(self, number: int, *arguments: object) -> int:
        result: int = self._libc.syscall(number, *arguments)
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, f"Landlock call {number}: {os.strerror(code)}")
        return result


def confine(hidden: Sequence[Path], readable: Sequence[Path], writable: Sequence[Path]) -> None:
    """Confine this process; raises OSError when the kernel does not let it."""
    ruleset = Ruleset()
    for path in open_parts(Path("/"), [Path(os.path.realpath(path)) for path in hidden]):
        ruleset.allow(path, EVERYTHING)
    for path in readable:
        ruleset.allow(path, READ)
    for path in writable:
        ruleset.allow(path, EVERYTHING)
    ruleset.enforce()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--landlock", action="store_true", help="confine it; otherwise only wait and start")
    parser.add_argument("--wait", type=Path, help="a file that must be there first")
    parser.add_argument("--directory", type=Path, required=True, help="the program's working directory")
    for name in ("hide", "read", "write"):
        parser.add_argument(f"--{name}", type=Path, action="append", default=[])
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def main() -> None:
    """Wait, confine, become the program."""
    arguments = _arguments()
    while arguments.wait and not arguments.wait.exists():
        time.sleep(WAIT_SECONDS)
    if arguments.landlock:
        confine(arguments.hide, arguments.read, arguments.write)
        sys.stderr.write("confine: this program reaches its own folders and the models, and nothing else of ours\n")
    os.chdir(arguments.directory)
    os.execv(arguments.command[0], arguments.command)  # noqa: S606


if __name__ == "__main__":
    main()
