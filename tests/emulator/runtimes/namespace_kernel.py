"""The few Linux system calls that Python 3.11 does not offer, each raising OSError with the path it was about."""

from __future__ import annotations

import ctypes
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18

_MNT_DETACH = 2
# The same numbers on every architecture; no C library of today's distributions wraps all of them.
_OPEN_TREE, _MOVE_MOUNT = 428, 429
_AT_FDCWD = -100
_OPEN_TREE_CLONE = 1
_MOVE_FROM_DESCRIPTOR = 4
_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_LAST_CAPABILITY = 63
_EINVAL = 22

# What a container engine gives root by default, so that root in a pod cannot mount, route, or touch the machine:
# chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, net_raw, sys_chroot,
# mknod, audit_write, setfcap (numbers of linux/capability.h).
POD_CAPABILITIES = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31})

_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, filesystem: str = "", flags: int = 0, data: str = "") -> None:
    """Mount `source` on `target`; `filesystem` is empty for a bind mount or a remount."""
    arguments = (source.encode(), target.encode(), filesystem.encode() or None, ctypes.c_ulong(flags), data.encode())
    _check(_libc.mount(*arguments), f"mounting {filesystem or source} on {target}")


def unmount(target: str) -> None:
    """Take a mount off its place; what is bound elsewhere of it stays."""
    _check(_libc.umount2(target.encode(), _MNT_DETACH), f"unmounting {target}")


def copy_mount(path: str) -> int:
    """Return a descriptor of a mount that is a copy of the one at `path`, and as yet nowhere."""
    flags = ctypes.c_uint(_OPEN_TREE_CLONE | os.O_CLOEXEC)
    descriptor: int = _libc.syscall(ctypes.c_long(_OPEN_TREE), _AT_FDCWD, path.encode(), flags)
    _check(min(descriptor, 0), f"copying the mount {path}")
    return descriptor


def place_mount(descriptor: int, target: str) -> None:
    """Mount what `copy_mount` returned, in any mount namespace."""
    arguments = (descriptor, b"", _AT_FDCWD, target.encode(), ctypes.c_uint(_MOVE_FROM_DESCRIPTOR))
    _check(_libc.syscall(ctypes.c_long(_MOVE_MOUNT), *arguments), f"mounting a volume on {target}")


def has_mount_trees() -> bool:
    """Say whether this kernel can carry a mount from one namespace to another (Linux 5.2)."""
    try:
        os.close(copy_mount("/"))
    except OSError:
        return False
    return True


def change_root(new_root: str) -> None:
    """Make `new_root`, a mount point, the root of this mount namespace and let go of the old one."""
    os.chdir(new_root)
    # The old root is stacked over the new one and taken off again, so that no directory has to be made for it.
    _check(_libc.pivot_root(b".", b"."), f"pivoting to {new_root}")
    unmount(".")
    os.chdir("/")


def unshare(flags: int) -> None:
    """Move this process (its future children for the pid namespace) into new namespaces."""
    _check(_libc.unshare(flags), "making namespaces")


def enter_namespace(descriptor: int, kind: int) -> None:
    """Move the calling thread alone into the namespace behind an open /proc/<pid>/ns file."""
    _check(_libc.setns(descriptor, kind), "entering a namespace")


def set_hostname(name: str) -> None:
    """Set the host name of this uts namespace."""
    _check(_libc.sethostname(name.encode(), ctypes.c_size_t(len(name.encode()))), f"setting the host name {name}")


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send `signal_number` to this process when its parent ends."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "tying a process to its parent")


def keep_capabilities(kept: frozenset[int]) -> None:
    """Drop every other capability from the bounding set: nothing this process executes can have it."""
    for capability in range(_LAST_CAPABILITY + 1):
        if capability in kept:
            continue
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            if ctypes.get_errno() == _EINVAL:  # the first number this kernel does not know
                return
            _check(-1, f"dropping capability {capability}")


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
