"""What keeps ComfyUI's user out of the volume and of the gateway's folders, whatever modes the volume shows.

landlock  ComfyUI runs confined by the kernel; of the volume it reads the models.
folder    The folder that the volume is mounted in is closed to it; models are copied to the container disk.
none      Nothing does: the stack file says so, or all services run as one user, as in the emulator's process runtime.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from provisioning.errors import InstallError
from provisioning.host import processes, users
from provisioning.host.files import write
from provisioning.layout import Layout
from provisioning.services import confine

RESERVE_BYTES = 4 << 30
"""Left free on the container disk beside copied models: ComfyUI writes its pictures there."""


class Isolation(StrEnum):
    """How ComfyUI is kept apart."""

    LANDLOCK = "landlock"
    FOLDER = "folder"
    NONE = "none"


class Allowed(StrEnum):
    """What the stack file asks for."""

    AUTO = "auto"
    FOLDER = "folder"
    NONE = "none"


def decide(allowed: str, layout: Layout, missing_bytes: int) -> Isolation:
    """Return the strongest that can be had here.

    Args:
        allowed: A value of Allowed; `folder` leaves Landlock aside, `none` accepts it when nothing isolates.
        layout: The pod's paths.
        missing_bytes: What copies of the models would still take on the container disk.

    Raises:
        InstallError: Nothing isolates here and the stack file does not accept that.
    """
    if allowed != Allowed.FOLDER and confine.is_available():
        return Isolation.LANDLOCK
    if not users.in_charge(layout):
        return Isolation.NONE
    missing = missing_bytes - max(0, shutil.disk_usage(_existing(layout.local)).free - RESERVE_BYTES)
    if missing <= 0:
        return Isolation.FOLDER
    if allowed == Allowed.NONE:
        return Isolation.NONE
    raise InstallError(
        f"this host's kernel has no Landlock that serves (version {confine.abi()}), and the models do not fit on the "
        f"container disk ({missing / 1e9:.1f} GB too little), so custom nodes could read and delete what lies on the "
        "volume. Raise pod.diskGb, take another GPU type or data centre, or accept it with `isolation: none` under "
        "comfyui-runpod:pod in the stack file"
    )


def missing_bytes(layout: Layout, models: Iterable[str]) -> int:
    """Return what the copies of stored models will take that are not made yet."""
    missing = (name for name in set(models) if not (layout.model_copies / name).exists())
    return sum((layout.model_store / name).stat().st_size for name in missing)


def current(layout: Layout) -> Isolation:
    """Return what was decided for this container; before that, the one that closes most."""
    try:
        return Isolation(layout.isolation.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return Isolation.FOLDER


def apply(layout: Layout, isolation: Isolation) -> None:
    """Make it so for what is started from now on; ends what was started under another isolation in this container.

    Stop ComfyUI first: supervisord would start it again as it was. Raises InstallError, OSError.
    """
    if is_other(layout, isolation) and users.in_charge(layout):
        processes.end_all(users.COMFYUI)
    close_volume(layout, isolation)
    write(layout.isolation, isolation)


def is_other(layout: Layout, isolation: Isolation) -> bool:
    """Say whether ComfyUI may have been started under another isolation in this container."""
    return layout.isolation.exists() and current(layout) is not isolation


def _existing(path: Path) -> Path:
    return next(place for place in (path, *path.parents) if place.exists())


def close_volume(layout: Layout, isolation: Isolation) -> None:
    """Give the folder that the volume is mounted in its mode: who may pass, and that nobody may list it."""
    parent = layout.volume_parent
    group = users.owner(users.GATEWAY, layout)
    if group:
        os.chown(parent, 0, group[1] if isolation is Isolation.FOLDER else 0)
    parent.chmod(0o710 if isolation is Isolation.FOLDER else 0o711)


def model_directory(layout: Layout, isolation: Isolation) -> Path:
    """Return where ComfyUI's links to models lead."""
    return layout.model_copies if isolation is Isolation.FOLDER else layout.model_store


def launch(layout: Layout, isolation: Isolation, python: Path, program: Path, source: Path) -> list[str]:
    """Return the command that ComfyUI's own is appended to.

    Args:
        layout: The pod's paths.
        isolation: What was decided.
        python: An interpreter that is there from the beginning; ComfyUI's own is unpacked later.
        program: The file of provisioning.services.confine.
        source: ComfyUI's working directory.
    """
    base = [str(python), "-I", str(program), "--wait", str(layout.prepared), "--directory", str(source)]
    if isolation is not Isolation.LANDLOCK:
        return [*base, "--"]
    hidden = (layout.volume_parent, layout.volume, layout.local, layout.run)
    readable = (layout.base, layout.sources, layout.venvs, layout.model_store)
    writable = tuple(layout.base / name for name in ("input", "output", "temp", "user"))
    parts = (("--hide", hidden), ("--read", readable), ("--write", writable))
    return [*base, "--landlock", *(word for flag, paths in parts for path in paths for word in (flag, str(path))), "--"]
