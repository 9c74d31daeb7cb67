"""Software trees: unpacked from their archives on the volume, or built and archived there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from provisioning.host import packages
from provisioning.install.context import InstallContext
from provisioning.install.paths import InstallPaths
from provisioning.progress import RUNNING, WARNING
from provisioning.vault import archives
from provisioning.vault.signed import UntrustedFileError


def ensure_tree(context: InstallContext, step: str, name: str, target: Path, build: Callable[[], None]) -> None:
    """Unpack or build a tree on the container disk; raises the errors of `build`."""
    if target.is_dir() or _unpacked(context, step, name, target):
        return
    build()


def _unpacked(context: InstallContext, step: str, name: str, target: Path) -> bool:
    if not archives.exists(context.layout, name):
        return False
    try:
        archives.unpack(context.layout, context.volume_key, name, target)
    except UntrustedFileError as error:
        context.progress.emit(step, WARNING, f"{error}; it is rebuilt now")
        archives.path(context.layout, name).unlink(missing_ok=True)
        return False
    context.progress.emit(step, RUNNING, f"unpacked {name} from the volume")
    return True


def missing(context: InstallContext) -> dict[str, Path]:
    """Return the trees without a valid archive on the volume."""
    trees = InstallPaths(context).kept
    if packages.files(context.layout):
        trees[packages.archive(context.layout)] = packages.cache(context.layout)
    return {
        name: path for name, path in trees.items() if not archives.is_intact(context.layout, context.volume_key, name)
    }


def keep(context: InstallContext) -> None:
    """Write missing archives; raises InstallError when the volume is full."""
    for name, path in missing(context).items():
        context.progress.emit("archives", RUNNING, f"storing {name} on the volume")
        archives.keep(context.layout, context.volume_key, name, path)
