"""Software trees: taken from their archives on the volume where those are ours, built otherwise, kept there again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from provisioning.host import packages
from provisioning.install.progress import RUNNING, WARNING
from provisioning.install.site import Site
from provisioning.install.targets import Targets
from provisioning.vault import archives
from provisioning.vault.signed import UntrustedFileError


def have(site: Site, step: str, name: str, target: Path, build: Callable[[], None]) -> None:
    """See that a tree is on the container disk; raises InstallError or OSError as building does."""
    if target.is_dir() or _unpacked(site, step, name, target):
        return
    build()


def _unpacked(site: Site, step: str, name: str, target: Path) -> bool:
    if not archives.is_kept(site.layout, name):
        return False
    try:
        archives.unpack(site.layout, site.volume_key, name, target)
    except UntrustedFileError as error:
        site.progress.emit(step, WARNING, f"{error}; it is made anew now")
        archives.path(site.layout, name).unlink(missing_ok=True)
        return False
    site.progress.emit(step, RUNNING, f"unpacked {name} from the volume")
    return True


def missing(site: Site) -> dict[str, Path]:
    """Return the trees of which the volume holds no archive that the next start can use."""
    trees = Targets(site).kept
    if packages.files(site.layout):
        trees[packages.archive(site.layout)] = packages.cache(site.layout)
    return {name: path for name, path in trees.items() if not archives.is_sound(site.layout, site.volume_key, name)}


def keep(site: Site) -> None:
    """Write what is missing; raises InstallError when the volume is full."""
    for name, path in missing(site).items():
        site.progress.emit("archives", RUNNING, f"keeping {name} on the volume")
        archives.keep(site.layout, site.volume_key, name, path)
