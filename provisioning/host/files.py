"""Writes files so that a reader never sees half of one and nobody reads what is not meant for them."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from provisioning.errors import InstallError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What the system answers where a disk is full, or the part of it that was paid for."""


def write(path: Path, text: str, *, mode: int = 0o600, owner: tuple[int, int] | None = None) -> None:
    """Write a file under a temporary name, with its final mode and owner, then give it its name.

    Without a mode it is for who writes it alone: without Landlock, ComfyUI's user could read it otherwise.
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
    """Return the name of a directory to make `target` in, new in every run.

    What killed runs left of the same kind is removed as far as it goes: tools they had started may still write there,
    and must not meet this run's. Who may run beside others, as a start does beside an installation, has a kind of its
    own.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f".{target.name}.*.{kind}"):
        shutil.rmtree(left, ignore_errors=True)
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.{kind}")


def settle(staged: Path, target: Path) -> None:
    """Give a finished directory its name; where another process was first, that one's stays: they are alike."""
    try:
        staged.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        shutil.rmtree(staged, ignore_errors=True)


def own_directory(path: Path, *, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Make a directory with this mode and, where given, this owner; one that is there already is corrected."""
    path.mkdir(parents=True, exist_ok=True)
    try:
        if owner and (path.stat().st_uid, path.stat().st_gid) != owner:
            os.chown(path, *owner)
        path.chmod(mode)
    except PermissionError as error:
        raise InstallError(
            f"{path} cannot be given to user {owner[0] if owner else os.geteuid()}: the container disk does not let "
            "root set owners, so ComfyUI and the gateway cannot be kept apart; choose another image"
        ) from error


def give_directory(path: Path, owner: tuple[int, int] | None) -> None:
    """Make a directory on the volume that a service user can write to, also where the volume sets no owners.

    There everybody on the pod could write to it; what keeps ComfyUI out is above it (provisioning.services.isolation).
    """
    path.mkdir(parents=True, exist_ok=True)
    if is_given(path, owner):
        return
    hand_over(path, owner, os.O_DIRECTORY, (0o700, 0o777))


def hand_over(path: Path, owner: tuple[int, int] | None, kind: int, modes: tuple[int, int]) -> None:
    """Give what lies on the volume to a service user or, where the volume sets no owners, let everybody write to it.

    Args:
        path: It is not a link: who can write to the volume could lead root to anything.
        owner: User and group.
        kind: os.O_DIRECTORY for a directory, 0 for a file.
        modes: Its mode when it has that owner, and when it cannot have one.
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
    """Raise InstallError for a place on the volume that is a link: root would follow it to what is not the volume's."""
    for path in paths:
        if path.is_symlink():
            raise InstallError(
                f"{path} is a link, and nothing of ours is one there; remove it, then run `make up` again"
            )


def is_given(path: Path, owner: tuple[int, int] | None) -> bool:
    """Say whether a service user can write to a directory: it has it, or everybody may."""
    if not path.is_dir() or path.is_symlink():
        return False
    found = path.stat()
    return found.st_mode & 0o007 == 0o007 or (found.st_uid == (owner[0] if owner else os.geteuid()))


def link(path: Path, target: Path) -> None:
    """Make `path` a relative link to `target`, replacing what it was in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.staged")
    staged.unlink(missing_ok=True)
    staged.symlink_to(os.path.relpath(target, path.parent))
    staged.replace(path)
