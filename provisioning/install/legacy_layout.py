"""An installation of before the container disk: everything lay on the volume, below its home there.

Files of clients move to where the gateway keeps them now; the gateway itself takes its database over when it starts.
What is left goes once the services answer. Each step may be killed anywhere and done again.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from provisioning.host import users
from provisioning.host.files import hand_over
from provisioning.install.context import InstallContext
from provisioning.layout import Layout
from provisioning.progress import DONE, RUNNING

MOVED = ("input", "output", "user")
"""ComfyUI's folders whose files are clients'."""
LEFT = ("services.json", "boot", "bundle", "venvs", "sources", "packages", "jobs", "logs", "requests", "base")
"""What such an installation had on the volume and this one has elsewhere; `services.json` holds secrets in clear."""
DATABASE = "gateway"


def is_there(layout: Layout) -> bool:
    """Say whether the volume holds something of such an installation."""
    return any(os.path.lexists(layout.home / name) for name in (*LEFT, DATABASE))


def take_over(context: InstallContext) -> None:
    """Move the files of clients, before a gateway starts that would count them."""
    layout = context.layout
    owner = users.owner(users.GATEWAY, layout)
    for name in MOVED:
        source = layout.home / "base" / name
        if source.is_dir() and not source.is_symlink():
            context.progress.emit("former", RUNNING, f"moving the files of {name} to the gateway's store")
            moved = _move(source, layout.files / name, owner)
            context.progress.emit("former", DONE, f"{moved} files of {name} moved")


def _move(source: Path, target: Path, owner: tuple[int, int] | None) -> int:
    """Move every plain file to the same name below another folder; a file that is there already is newer and stays."""
    moved = 0
    _give(target, owner)
    for entry in sorted(source.iterdir()):
        place = target / entry.name
        if entry.is_symlink():
            continue  # A node may have put it there; nothing of ours was ever a link.
        if entry.is_dir():
            moved += _move(entry, place, owner)
        elif entry.is_file() and not place.exists():
            _give_file(entry, owner)
            entry.rename(place)
            moved += 1
    return moved


def _give(directory: Path, owner: tuple[int, int] | None) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    hand_over(directory, owner, os.O_DIRECTORY, (0o700, 0o777))


def _give_file(file: Path, owner: tuple[int, int] | None) -> None:
    hand_over(file, owner, 0, (file.lstat().st_mode & 0o777, 0o666))


def clear(context: InstallContext) -> None:
    """Remove what nobody needs any more; called once the services answer."""
    layout = context.layout
    if not is_there(layout):
        return
    context.progress.emit("former", RUNNING, "removing the former installation from the volume")
    for name in LEFT:
        _remove(layout.home / name)
    if not (layout.home / DATABASE / "gateway.db").exists():
        _remove(layout.home / DATABASE)
    context.progress.emit("former", DONE, "the former installation is removed")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
