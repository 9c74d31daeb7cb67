"""Isolation of ComfyUI's user from the volume and the gateway's folders, independent of the volume's file modes.

landlock  The kernel restricts ComfyUI's file access; on the volume it can read the models only.
folder    ComfyUI cannot enter the folder in which the volume is mounted; models are copied to the container disk.
none      No isolation: the stack file accepts it, or all services run as one user, as in the process runtime.
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
"""Free space to keep on the container disk beside copied models, for ComfyUI's images."""


class Isolation(StrEnum):
    """The isolation of ComfyUI."""

    LANDLOCK = "landlock"
    FOLDER = "folder"
    NONE = "none"


class Allowed(StrEnum):
    """The setting in the stack file."""

    AUTO = "auto"
    FOLDER = "folder"
    NONE = "none"


def decide(allowed: str, layout: Layout, missing_bytes: int) -> Isolation:
    """Return the strongest isolation that is available.

    Args:
        allowed: A value of Allowed; `folder` does not use Landlock, `none` accepts a pod without isolation.
        layout: The pod's paths.
        missing_bytes: Size of the models that still have to be copied to the container disk.

    Raises:
        InstallError: No isolation is available and the stack file does not accept that.
    """
    if allowed != Allowed.FOLDER and confine.is_available():
        return Isolation.LANDLOCK
    if not users.owns_machine(layout):
        return Isolation.NONE
    missing = missing_bytes - max(0, shutil.disk_usage(_existing(layout.local)).free - RESERVE_BYTES)
    if missing <= 0:
        return Isolation.FOLDER
    if allowed == Allowed.NONE:
        return Isolation.NONE
    raise InstallError(
        f"this host's kernel has no sufficient Landlock (version {confine.abi()}), and the models do not fit on the "
        f"container disk ({missing / 1e9:.1f} GB too little), so custom nodes could read and delete files on the "
        "volume. Raise pod.diskGb, take another GPU type or data centre, or accept it with `isolation: none` under "
        "comfyui-runpod:pod in the stack file"
    )


def missing_bytes(layout: Layout, models: Iterable[str]) -> int:
    """Return the total size of stored models that are not copied yet."""
    missing = (name for name in set(models) if not (layout.model_copies / name).exists())
    return sum((layout.model_store / name).stat().st_size for name in missing)


def current(layout: Layout) -> Isolation:
    """Return this container's isolation; before the decision, the strictest one."""
    try:
        return Isolation(layout.isolation.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return Isolation.FOLDER


def apply(layout: Layout, isolation: Isolation) -> None:
    """Apply an isolation to future processes; kill those that were started with another one in this container.

    Stop ComfyUI first, because supervisord would restart it unchanged. Raises InstallError, OSError.
    """
    if is_other(layout, isolation) and users.owns_machine(layout):
        processes.end_all(users.COMFYUI)
    close_volume(layout, isolation)
    write(layout.isolation, isolation)


def is_other(layout: Layout, isolation: Isolation) -> bool:
    """Return whether ComfyUI may have been started with another isolation in this container."""
    return layout.isolation.exists() and current(layout) is not isolation


def _existing(path: Path) -> Path:
    return next(place for place in (path, *path.parents) if place.exists())


def close_volume(layout: Layout, isolation: Isolation) -> None:
    """Set the mode of the folder in which the volume is mounted: allowed users can traverse but not list it."""
    parent = layout.volume_parent
    group = users.owner(users.GATEWAY, layout)
    if group:
        os.chown(parent, 0, group[1] if isolation is Isolation.FOLDER else 0)
    parent.chmod(0o710 if isolation is Isolation.FOLDER else 0o711)


def model_directory(layout: Layout, isolation: Isolation) -> Path:
    """Return the directory that ComfyUI's links to models point to."""
    return layout.model_copies if isolation is Isolation.FOLDER else layout.model_store


def launch(layout: Layout, isolation: Isolation, python: Path, program: Path, source: Path) -> list[str]:
    """Return the prefix of ComfyUI's command.

    Args:
        layout: The pod's paths.
        isolation: The isolation of this container.
        python: An interpreter that is unpacked before ComfyUI's.
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
