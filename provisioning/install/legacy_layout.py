"""Migration of an older installation, which was entirely on the volume.

Client files move to the gateway's store; the gateway imports its database when it starts. The rest is removed once the
services answer. Every step can be interrupted and repeated.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from provisioning.host import users
from provisioning.host.files import set_owner
from provisioning.install.context import InstallContext
from provisioning.layout import Layout
from provisioning.progress import DONE, RUNNING

MOVED = ("input", "output", "user")
"""ComfyUI's folders with client files."""
LEFT = ("services.json", "boot", "bundle", "venvs", "sources", "packages", "jobs", "logs", "requests", "base")
"""Files of the older installation to remove; `services.json` contains secrets in plain text."""
DATABASE = "gateway"


def is_there(layout: Layout) -> bool:
    """Return whether the volume contains files of an older installation."""
    return any(os.path.lexists(layout.home / name) for name in (*LEFT, DATABASE))


def take_over(context: InstallContext) -> None:
    """Move the client files before the gateway starts, because it counts them."""
    layout = context.layout
    owner = users.owner(users.GATEWAY, layout)
    for name in MOVED:
        source = layout.home / "base" / name
        if source.is_dir() and not source.is_symlink():
            context.progress.emit("former", RUNNING, f"moving files of {name} to the gateway's store")
            moved = _move(source, layout.files / name, owner)
            context.progress.emit("former", DONE, f"{moved} files of {name} moved")


def _move(source: Path, target: Path, owner: tuple[int, int] | None) -> int:
    """Move every plain file to the same path below another folder; an existing target is newer and stays."""
    moved = 0
    _give(target, owner)
    for entry in sorted(source.iterdir()):
        place = target / entry.name
        if entry.is_symlink():
            continue  # Created by a node: the installation had no links here.
        if entry.is_dir():
            moved += _move(entry, place, owner)
        elif entry.is_file() and not place.exists():
            _give_file(entry, owner)
            entry.rename(place)
            moved += 1
    return moved


def _give(directory: Path, owner: tuple[int, int] | None) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    set_owner(directory, owner, os.O_DIRECTORY, (0o700, 0o777))


def _give_file(file: Path, owner: tuple[int, int] | None) -> None:
    set_owner(file, owner, 0, (file.lstat().st_mode & 0o777, 0o666))


def clear(context: InstallContext) -> None:
    """Remove the older installation's files; called once the services answer."""
    layout = context.layout
    if not is_there(layout):
        return
    context.progress.emit("former", RUNNING, "removing the older installation from the volume")
    for name in LEFT:
        _remove(layout.home / name)
    if not (layout.home / DATABASE / "gateway.db").exists():
        _remove(layout.home / DATABASE)
    context.progress.emit("former", DONE, "the older installation was removed")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
