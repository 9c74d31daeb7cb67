"""A network volume's files as FUSE asks for them: those of a directory, shown as RunPod's volumes show theirs.

Everything belongs to root, nobody can give it to anybody, and there are no extended attributes. The method names and
arguments are those of `mfusepy`; each raises OSError. Paths begin with a slash and are relative to the volume.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import time_ns

from tests.emulator.runtimes.volume_account import Account
from tests.emulator.runtimes.volume_faults import VolumeFaults

CLUSTER_BYTES, CLUSTER_FREE = 2253 << 40, 506 << 40
"""What `df` shows: the whole cluster, 2.2 PB, never the volume."""
_BLOCK = 65536
_FILE_MODE, _FOLDER_MODE = 0o666, 0o777
_OURS = os.O_APPEND | os.O_DIRECT
"""Flags that the kernel takes care of before it asks: on our own descriptor they would act twice."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_NOW, _OMIT = (1 << 30) - 1, (1 << 30) - 2

Attributes = dict[str, int]


@dataclass(frozen=True)
class Handle:
    """An open file."""

    descriptor: int
    inode: int


class Files:
    """The operations of one volume; several threads call them at once."""

    use_ns = True
    flag_nopath = True
    flag_nullpath_ok = True

    def __init__(self, directory: Path, faults: VolumeFaults, account: Account, mounted: Callable[[], None]) -> None:
        self._root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        self._faults = faults
        self._account = account
        self._mounted = mounted
        self._handles: dict[int, Handle] = {}

    def init(self, path: str) -> None:
        """The volume is mounted: say so to whoever started this server."""
        self._mounted()

    # -- What is there

    def getattr(self, path: str | None, fh: int | None = None) -> Attributes:
        """Return a file's attributes; it is root's whoever made it."""
        self._faults.call()
        status = os.fstat(fh) if path is None and fh is not None else self._stat(path or "/")
        names = ("st_ino", "st_size", "st_nlink", "st_blocks", "st_rdev")
        shown = {name: getattr(status, name) for name in names}
        times = {f"st_{name}time": getattr(status, f"st_{name}time_ns") for name in "amc"}
        return shown | times | {"st_mode": self._mode(status), "st_uid": 0, "st_gid": 0, "st_blksize": _BLOCK}

    def access(self, path: str, amode: int) -> None:
        """Let everybody do everything, but run a file: no file has the bit for it."""
        if amode & os.X_OK and not self._mode(self._stat(path)) & 0o111:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    def opendir(self, path: str) -> int:
        """Open a folder."""
        self._faults.call()
        return os.open(_relative(path), _FOLDER, dir_fd=self._root)

    def releasedir(self, path: str | None, fh: int) -> None:
        """Close a folder."""
        os.close(fh)

    def readdir(self, path: str | None, fh: int) -> Iterator[tuple[str, Attributes, int]]:
        """Yield the names in an open folder."""
        self._faults.call()
        yield from ((name, {"st_mode": stat.S_IFDIR}, 0) for name in (".", ".."))
        descriptor = os.open(".", _FOLDER, dir_fd=fh)  # one more: each reads from the begin
        try:
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    yield entry.name, {"st_ino": entry.inode(), "st_mode": _kind(entry)}, 0
        finally:
            os.close(descriptor)

    def readlink(self, path: str) -> str:
        """Return where a link points."""
        return os.readlink(_relative(path), dir_fd=self._root)

    def statfs(self, path: str) -> Attributes:
        """Return the cluster's size and what is free of it."""
        self._faults.call()
        blocks, free = CLUSTER_BYTES // _BLOCK, CLUSTER_FREE // _BLOCK
        sizes = {"f_bsize": _BLOCK, "f_frsize": _BLOCK, "f_blocks": blocks, "f_bfree": free, "f_bavail": free}
        return sizes | {"f_files": 4 * 10**9, "f_ffree": 2 * 10**9, "f_favail": 2 * 10**9, "f_namemax": 255}

    # -- Names

    def mkdir(self, path: str, mode: int) -> None:
        """Make a folder."""
        self._faults.open()
        os.mkdir(_relative(path), mode, dir_fd=self._root)

    def mknod(self, path: str, mode: int, dev: int) -> None:
        """Make a file, a pipe or a socket; a device is refused."""
        self._faults.open()
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        os.mknod(_relative(path), mode, dir_fd=self._root)

    def symlink(self, target: str, source: str) -> None:
        """Make a link `target` that points to `source`."""
        self._faults.open()
        os.symlink(source, _relative(target), dir_fd=self._root)

    def link(self, target: str, source: str) -> None:
        """Give the file `source` the further name `target`."""
        self._faults.open()
        os.link(
            _relative(source), _relative(target), src_dir_fd=self._root, dst_dir_fd=self._root, follow_symlinks=False
        )

    def unlink(self, path: str) -> None:
        """Take a name away."""
        self._faults.call()
        with self._account.unnamed(lambda: self._stat(path)):
            os.unlink(_relative(path), dir_fd=self._root)

    def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        self._faults.call()
        os.rmdir(_relative(path), dir_fd=self._root)

    def rename(self, old: str, new: str) -> None:
        """Rename; what has the new name is lost."""
        self._faults.call()
        with self._account.unnamed(lambda: self._lost(old, new)):
            os.rename(_relative(old), _relative(new), src_dir_fd=self._root, dst_dir_fd=self._root)

    # -- Attributes that can be set, or not

    def chmod(self, path: str, mode: int) -> None:
        """Set the mode, or do nothing and say that it was done."""
        self._faults.call()
        if not self._faults.ignores_modes:
            os.chmod(_relative(path), mode & 0o7777, dir_fd=self._root)

    def chown(self, path: str, uid: int, gid: int) -> None:
        """Refuse: everything stays root's, also for root."""
        self._faults.call()
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> None:
        """Set the times of last access and change, in nanoseconds."""
        self._faults.call()
        status = self._stat(path)
        former = (status.st_atime_ns, status.st_mtime_ns)
        wanted = [_moment(new, old) for new, old in zip(times or (_NOW, _NOW), former, strict=True)]
        os.utime(_relative(path), ns=(wanted[0], wanted[1]), dir_fd=self._root, follow_symlinks=False)

    def truncate(self, path: str | None, length: int, fh: int | None = None) -> None:
        """Cut or lengthen a file."""
        self._faults.write()
        if fh is not None:
            return self._truncate(fh, length)
        descriptor = os.open(_relative(path or "/"), os.O_WRONLY | os.O_NOFOLLOW, dir_fd=self._root)
        try:
            return self._truncate(descriptor, length)
        finally:
            os.close(descriptor)

    # -- Content

    def create(self, path: str, mode: int, flags: int) -> int:
        """Make and open a file."""
        return self._open(path, flags | os.O_CREAT, mode)

    def open(self, path: str, flags: int) -> int:
        """Open a file."""
        return self._open(path, flags, 0)

    def read(self, path: str | None, size: int, offset: int, fh: int) -> bytes:
        """Return bytes of an open file."""
        self._faults.data()
        return os.pread(fh, size, offset)

    def write(self, path: str | None, data: bytes, offset: int, fh: int) -> int:
        """Write bytes to an open file."""
        self._faults.write()
        inode = self._handles[fh].inode
        self._account.grow(inode, offset + len(data))
        try:
            return os.pwrite(fh, data, offset)
        except OSError:
            self._account.settle(inode, os.fstat(fh).st_size)
            raise

    def fsync(self, path: str | None, datasync: int, fh: int) -> None:
        """Have an open file's bytes on the machine's disk."""
        self._faults.data()
        os.fsync(fh)

    def fsyncdir(self, path: str | None, datasync: int, fh: int) -> None:
        """Have names on the machine's disk."""
        self._faults.data()
        os.fsync(fh)

    def release(self, path: str | None, fh: int) -> None:
        """Close a file."""
        handle = self._handles.pop(fh)
        os.close(handle.descriptor)
        self._account.closed(handle.inode)

    def _open(self, path: str, flags: int, mode: int) -> int:
        self._faults.open()
        # It is cut by the account, which has to know.
        kept = flags & ~_OURS & ~os.O_TRUNC | os.O_NOFOLLOW
        descriptor = os.open(_relative(path), kept, mode, dir_fd=self._root)
        self._handles[descriptor] = Handle(descriptor, os.fstat(descriptor).st_ino)
        self._account.opened(descriptor)
        if flags & os.O_TRUNC:
            self._truncate(descriptor, 0)
        return descriptor

    def _truncate(self, descriptor: int, length: int) -> None:
        status = os.fstat(descriptor)
        with self._account.resized(status.st_ino, status.st_size, length):
            os.ftruncate(descriptor, length)

    def _lost(self, old: str, new: str) -> os.stat_result | None:
        with suppress(FileNotFoundError):
            status = self._stat(new)
            return None if status.st_ino == self._stat(old).st_ino else status
        return None

    def _stat(self, path: str) -> os.stat_result:
        return os.stat(_relative(path), dir_fd=self._root, follow_symlinks=False)

    def _mode(self, status: os.stat_result) -> int:
        if stat.S_ISLNK(status.st_mode) or not self._faults.ignores_modes:
            return status.st_mode
        return stat.S_IFMT(status.st_mode) | (_FOLDER_MODE if stat.S_ISDIR(status.st_mode) else _FILE_MODE)


class FilesWithoutLocks(Files):
    """The same where file locks are refused."""

    def lock(self, path: str | None, fh: int, cmd: int, lock: object) -> None:
        """Refuse a lock of `fcntl`."""
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    def flock(self, path: str | None, fh: int, op: int) -> None:
        """Refuse a lock of `flock`."""
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def _relative(path: str) -> str:
    return path.lstrip("/") or "."


def _kind(entry: os.DirEntry[str]) -> int:
    if entry.is_symlink():
        return stat.S_IFLNK
    return stat.S_IFDIR if entry.is_dir() else stat.S_IFREG


def _moment(new: int, old: int) -> int:
    """Return a time to set: libfuse has two numbers that mean `now` and `as it was`."""
    if new == _NOW:
        return time_ns()
    return old if new == _OMIT else new
