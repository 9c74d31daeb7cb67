"""Starts a program with parts of the file system out of its reach: Landlock, the kernel's own sandbox.

It stands alone (no import of ours), for it runs as ComfyUI's user: `confine.py --landlock --hide A --read B --write C
-- command`. Whatever is not hidden stays as the user has it; below what is hidden, `--read` and `--write` open parts.
Only files are ruled, never ioctls of devices: a GPU works as before.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import os
import stat
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

TRUNCATE_ABI = 3
"""The first that rules truncation too (Linux 6.2). Before it a file that can be read could be emptied, unless the calls
that do so are refused: a filter of them is known for x86-64."""

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
NO_NEW_PRIVILEGES = 38
READ = 1 << 0 | 1 << 2 | 1 << 3
"""LANDLOCK_ACCESS_FS_EXECUTE, READ_FILE and READ_DIR."""
EVERYTHING = (1 << 15) - 1
"""All rights over files of ABI 3; LANDLOCK_ACCESS_FS_IOCTL_DEV, bit 15, is left alone."""
KNOWN_TO = {1: (1 << 13) - 1, 2: (1 << 14) - 1}
"""What the first two versions can rule."""
OF_A_FILE = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14
"""What a rule for something that is no directory may grant: execute, write, read, truncate."""
WAIT_SECONDS = 0.2

SET_SECCOMP, MODE_FILTER = 22, 2
SECCOMP_ERRNO, SECCOMP_ALLOW = 0x00050000, 0x7FFF0000
X86_64, X32_BIT = 0xC000003E, 0x40000000
LOAD, AND, RETURN = 0x20, 0x54, 0x06
JUMP_ALWAYS, JUMP_EQUAL, JUMP_NOT_LESS, JUMP_SET = 0x05, 0x15, 0x35, 0x45
"""Operations of classic BPF: a word of the call's data, and-ing, an answer, and jumps over so many lines."""


class _Rule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("access", ctypes.c_uint64), ("descriptor", ctypes.c_int32))


def abi() -> int:
    """Return the version of Landlock that the kernel offers; 0 where there is none."""
    found: int = ctypes.CDLL(None).syscall(CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    return max(0, found)


def is_available() -> bool:
    """Say whether the kernel can confine a program as this module needs it."""
    return abi() >= (1 if os.uname().machine == "x86_64" else TRUNCATE_ABI)


def open_parts(top: Path, hidden: Sequence[Path]) -> Iterator[Path]:
    """Yield the largest trees below `top` that neither hold nor are one of the hidden ones."""
    if top in hidden:
        return
    if not any(top in path.parents for path in hidden):
        yield top
        return
    for child in _children(top):
        # What a link leads to is reached through a rule of its own place, or is not to be reached.
        if not child.is_symlink():
            yield from open_parts(child, hidden)


def _children(directory: Path) -> list[Path]:
    """Return what lies in a directory; nothing where it may only be passed through."""
    try:
        return sorted(directory.iterdir())
    except PermissionError:
        return []


def filter_lines() -> list[tuple[int, int, int, int]]:
    """Return a classic BPF program for x86-64 that refuses what empties a file without opening it for writing.

    It refuses truncate(2), opening with O_TRUNC but neither O_WRONLY nor O_RDWR, and, as if the kernel did not know
    them, openat2(2) and io_uring_setup(2), whose flags a filter cannot see, and other calling conventions.
    """
    refused, unknown, allowed = SECCOMP_ERRNO | errno.EACCES, SECCOMP_ERRNO | errno.ENOSYS, SECCOMP_ALLOW
    return [
        (LOAD, 0, 0, 4),  # 0: the architecture
        (JUMP_EQUAL, 1, 0, X86_64),
        (RETURN, 0, 0, unknown),
        (LOAD, 0, 0, 0),  # 3: the call's number
        (JUMP_NOT_LESS, 6, 0, X32_BIT),
        (JUMP_EQUAL, 6, 0, 76),  # truncate
        (JUMP_EQUAL, 4, 0, 437),  # openat2
        (JUMP_EQUAL, 3, 0, 425),  # io_uring_setup
        (JUMP_EQUAL, 4, 0, 2),  # open
        (JUMP_EQUAL, 5, 0, 257),  # openat
        (RETURN, 0, 0, allowed),
        (RETURN, 0, 0, unknown),  # 11
        (RETURN, 0, 0, refused),  # 12
        (LOAD, 0, 0, 16 + 8),  # 13: flags of open
        (JUMP_ALWAYS, 0, 0, 1),
        (LOAD, 0, 0, 16 + 16),  # 15: flags of openat
        (JUMP_SET, 0, 4, os.O_TRUNC),
        (AND, 0, 0, os.O_ACCMODE),
        (JUMP_EQUAL, 2, 0, os.O_WRONLY),
        (JUMP_EQUAL, 1, 0, os.O_RDWR),
        (RETURN, 0, 0, refused),
        (RETURN, 0, 0, allowed),  # 21
    ]


class Ruleset:
    """A Landlock ruleset that is being filled."""

    def __init__(self, version: int) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._known = KNOWN_TO.get(version, EVERYTHING)
        handled = ctypes.c_uint64(self._known)
        self._descriptor = self._call(CREATE_RULESET, ctypes.byref(handled), ctypes.c_size_t(8), 0)

    def allow(self, path: Path, access: int) -> None:
        """Grant rights over a file, or over a directory and all below it; what is not there is passed over."""
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return
        try:
            whole = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            rule = _Rule(access & self._known & (EVERYTHING if whole else OF_A_FILE), descriptor)
            self._call(ADD_RULE, self._descriptor, 1, ctypes.byref(rule), 0)
        finally:
            os.close(descriptor)

    def enforce(self) -> None:
        """Confine this process and all it will ever start."""
        if self._libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")
        self._call(RESTRICT_SELF, self._descriptor, 0)
        os.close(self._descriptor)
        if self._known != EVERYTHING:
            self._refuse_truncation()

    def _refuse_truncation(self) -> None:
        lines = filter_lines()
        code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in lines))
        program = struct.pack("@HP", len(lines), ctypes.addressof(code))
        if self._libc.prctl(SET_SECCOMP, MODE_FILTER, ctypes.c_char_p(program), 0, 0):
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_SECCOMP)")

    def _call(self, number: int, *arguments: object) -> int:
        result: int = self._libc.syscall(number, *arguments)
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, f"Landlock call {number}: {os.strerror(code)}")
        return result


def confine(version: int, hidden: Sequence[Path], readable: Sequence[Path], writable: Sequence[Path]) -> None:
    """Confine this process by a version of Landlock; raises OSError when the kernel does not let it."""
    ruleset = Ruleset(version)
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
    parser.add_argument("--version", type=int, default=TRUNCATE_ABI, help="the newest version of Landlock to use")
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
        version = min(abi(), arguments.version)
        confine(version, arguments.hide, arguments.read, arguments.write)
        sys.stderr.write("confine: this program reaches its own folders and the models, and nothing else of ours\n")
    os.chdir(arguments.directory)
    os.execv(arguments.command[0], arguments.command)  # noqa: S606


if __name__ == "__main__":
    main()
