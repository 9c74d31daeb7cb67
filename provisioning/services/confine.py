"""Run a program with restricted access to the file system by Landlock, the kernel's sandbox.

It imports no other module of the project, because it runs as ComfyUI's user: `confine.py --landlock --hide A --read B
--write C -- command`. Access outside of hidden folders is not changed; `--read` and `--write` allow parts of hidden
folders. Only file access is restricted, not ioctls of devices, so that GPUs work.
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
"""First Landlock version that restricts truncation (Linux 6.2). Before it, a readable file could be truncated, so a
seccomp filter refuses those calls; the filter exists for x86-64."""

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
NO_NEW_PRIVILEGES = 38
READ = 1 << 0 | 1 << 2 | 1 << 3
"""LANDLOCK_ACCESS_FS_EXECUTE, READ_FILE and READ_DIR."""
EVERYTHING = (1 << 15) - 1
"""All file rights of ABI 3; LANDLOCK_ACCESS_FS_IOCTL_DEV, bit 15, is not restricted."""
KNOWN_TO = {1: (1 << 13) - 1, 2: (1 << 14) - 1}
"""File rights of the first two versions."""
OF_A_FILE = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14
"""Rights that apply to a file that is not a directory: execute, write, read, truncate."""
WAIT_SECONDS = 0.2

SET_SECCOMP, MODE_FILTER = 22, 2
SECCOMP_ERRNO, SECCOMP_ALLOW = 0x00050000, 0x7FFF0000
X86_64, X32_BIT = 0xC000003E, 0x40000000
LOAD, AND, RETURN = 0x20, 0x54, 0x06
JUMP_ALWAYS, JUMP_EQUAL, JUMP_NOT_LESS, JUMP_SET = 0x05, 0x15, 0x35, 0x45
"""Operations of classic BPF: load a word of the call's data, bitwise and, return, and relative jumps."""


class _Rule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("access", ctypes.c_uint64), ("descriptor", ctypes.c_int32))


def abi() -> int:
    """Return the kernel's Landlock version; 0 without Landlock."""
    found: int = ctypes.CDLL(None).syscall(CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    return max(0, found)


def is_available() -> bool:
    """Return whether the kernel supports what this module needs."""
    return abi() >= (1 if os.uname().machine == "x86_64" else TRUNCATE_ABI)


def open_parts(top: Path, hidden: Sequence[Path]) -> Iterator[Path]:
    """Yield the largest trees below `top` that contain no hidden path and are not hidden."""
    if top in hidden:
        return
    if not any(top in path.parents for path in hidden):
        yield top
        return
    for child in _children(top):
        # The target of a link has a rule of its own or is hidden.
        if not child.is_symlink():
            yield from open_parts(child, hidden)


def _children(directory: Path) -> list[Path]:
    """Return the entries of a directory; none without permission to list it."""
    try:
        return sorted(directory.iterdir())
    except PermissionError:
        return []


def filter_lines() -> list[tuple[int, int, int, int]]:
    """Return a classic BPF program for x86-64 that refuses truncation of a file that is not opened for writing.

    It refuses truncate(2) and opening with O_TRUNC but neither O_WRONLY nor O_RDWR. It answers ENOSYS to openat2(2) and
    io_uring_setup(2), whose flags a filter cannot read, and to other calling conventions.
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
    """A Landlock ruleset."""

    def __init__(self, version: int) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._known = KNOWN_TO.get(version, EVERYTHING)
        handled = ctypes.c_uint64(self._known)
        self._descriptor = self._call(CREATE_RULESET, ctypes.byref(handled), ctypes.c_size_t(8), 0)

    def allow(self, path: Path, access: int) -> None:
        """Grant rights to a file, or to a directory and everything below it; a missing path is ignored."""
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
        """Restrict this process and its future child processes."""
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
    """Restrict this process with a Landlock version; raises OSError when the kernel refuses it."""
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
    parser.add_argument("--landlock", action="store_true", help="restrict access; otherwise only wait and start")
    parser.add_argument("--version", type=int, default=TRUNCATE_ABI, help="newest Landlock version to use")
    parser.add_argument("--wait", type=Path, help="wait until this file exists")
    parser.add_argument("--directory", type=Path, required=True, help="working directory of the program")
    for name in ("hide", "read", "write"):
        parser.add_argument(f"--{name}", type=Path, action="append", default=[])
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def main() -> None:
    """Wait, restrict access, and execute the program."""
    arguments = _arguments()
    while arguments.wait and not arguments.wait.exists():
        time.sleep(WAIT_SECONDS)
    if arguments.landlock:
        version = min(abi(), arguments.version)
        confine(version, arguments.hide, arguments.read, arguments.write)
        sys.stderr.write(
            "confine: this program can access its own folders and the models, but no other file of the installation\n"
        )
    os.chdir(arguments.directory)
    os.execv(arguments.command[0], arguments.command)  # noqa: S606


if __name__ == "__main__":
    main()
