"""Write files atomically and with restricted permissions."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from provisioning.errors import InstallError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Error numbers of a full disk or an exhausted quota."""


def write(path: Path, text: str, *, mode: int = 0o600, owner: tuple[int, int] | None = None) -> None:
    """Write a file under a temporary name, with its final mode and owner, then rename it.

    By default only its owner can read it: without Landlock, ComfyUI's user could read it otherwise.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.staged")
    staged.unlink(missing_ok=True)
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        if owner:
            os.fchown(file.fileno(), *owner)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())
    staged.replace(path)


def staging(target: Path, kind: str = "staged") -> Path:
    """Return a new temporary path beside `target`, to create a directory that `settle` renames to `target`.

    Leftovers of killed runs of the same kind are removed as far as possible: their child processes may still write
    there. Programs that may run at the same time, such as a start and an installation, use different kinds.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f".{target.name}.*.{kind}"):
        shutil.rmtree(left, ignore_errors=True)
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.{kind}")


def settle(staged: Path, target: Path) -> None:
    """Rename a finished directory to `target`; if another process was first, keep its identical result."""
    try:
        staged.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        shutil.rmtree(staged, ignore_errors=True)


def ensure_directory(path: Path, *, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Create a directory with this mode and optional owner, or correct those of an existing one."""
    path.mkdir(parents=True, exist_ok=True)
    try:
        if owner and (path.stat().st_uid, path.stat().st_gid) != owner:
            os.chown(path, *owner)
        path.chmod(mode)
    except PermissionError as error:
        raise InstallError(
            f"{path} cannot be given to user {owner[0] if owner else os.geteuid()}: the container disk does not allow "
            "root to set owners, so ComfyUI and the gateway cannot be isolated; choose another image"
        ) from error


def ensure_service_directory(path: Path, owner: tuple[int, int] | None) -> None:
    """Create a directory on the volume that a service user can write to, even if the volume has no owners.

    Without owners every user can write to it; provisioning.services.isolation keeps ComfyUI out of the parent folder.
    """
    path.mkdir(parents=True, exist_ok=True)
    if is_writable_for(path, owner):
        return
    set_owner(path, owner, os.O_DIRECTORY, (0o700, 0o777))


def set_owner(path: Path, owner: tuple[int, int] | None, kind: int, modes: tuple[int, int]) -> None:
    """Give a path on the volume to a service user or, if the volume has no owners, make it writable for all users.

    Args:
        path: Not a link, which could point root to any file.
        owner: User and group.
        kind: os.O_DIRECTORY for a directory, 0 for a file.
        modes: Its mode with that owner, and its mode without owners.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | kind)
    try:
        if owner:
            os.fchown(descriptor, *owner)
        os.fchmod(descriptor, modes[0])
    except PermissionError:
        os.fchmod(descriptor, modes[1])
    finally:
        os.close(descriptor)


def refuse_links(paths: Iterable[Path]) -> None:
    """Raise InstallError for a path on the volume that is a link, which could point root outside of the volume."""
    for path in paths:
        if path.is_symlink():
            raise InstallError(
                f"{path} is a link, which the installer never creates there; remove it, then run `make up` again"
            )


def is_writable_for(path: Path, owner: tuple[int, int] | None) -> bool:
    """Return whether a service user can write to a directory, as its owner or because all users can."""
    if not path.is_dir() or path.is_symlink():
        return False
    found = path.stat()
    return found.st_mode & 0o007 == 0o007 or (found.st_uid == (owner[0] if owner else os.geteuid()))


def link(path: Path, target: Path) -> None:
    """Make `path` a relative link to `target`, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.staged")
    staged.unlink(missing_ok=True)
    staged.symlink_to(os.path.relpath(target, path.parent))
    staged.replace(path)
