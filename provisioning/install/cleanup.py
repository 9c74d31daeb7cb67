"""Removes what killed runs left behind and what nothing wants any more; only after the services answer."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from provisioning.host import packages
from provisioning.install import uv
from provisioning.install.context import InstallContext
from provisioning.install.paths import InstallPaths
from provisioning.layout import Layout
from provisioning.vault import archives

KEPT_RUNS = 10
KEPT_BUNDLES = 3
FORGOTTEN_SECONDS = 86400.0
"""Archives that nobody used for a day go. A pod that runs marks what it would start from every hour."""


def remove_leftovers(context: InstallContext) -> None:
    """Do all of it."""
    layout = context.layout
    for staged in _staged(layout):
        _remove(staged)
    _forget_trees(context)
    _forget_archives(context)
    _keep_latest(layout.jobs, KEPT_RUNS)
    _keep_latest(layout.bundles, KEPT_BUNDLES, context.bundle)


def _staged(layout: Layout) -> list[Path]:
    """Return what was written beside its place and never got there; looks in no directory a service may write to."""
    parts = ("", "boot", "venvs", "sources/*", "sources/nodes/*", "base/custom_nodes", "base/models/*")
    kinds = ("staged", "unpacked", "unpacked.tar")
    names = [f"{part}/.*.{kind}".lstrip("/") for part in parts for kind in kinds]
    unfinished = [path for name in names for path in layout.local.glob(name)]
    kept = [path for part in ("", "archives", "models/*") for path in layout.home.glob(f"{part}/.*.staged".lstrip("/"))]
    return [*unfinished, *kept, *layout.model_staging.glob("*")]


def _forget_trees(context: InstallContext) -> None:
    """Remove environments of the container disk that this pod no longer runs from; the volume has them for a day."""
    wanted = {uv.directory(context.layout), *(venv.directory(context.layout) for venv in InstallPaths(context).venvs)}
    for directory in set(context.layout.venvs.iterdir()) - wanted:
        _remove(directory)


def _forget_archives(context: InstallContext) -> None:
    layout, wanted = context.layout, {packages.archive(context.layout), *InstallPaths(context).kept}
    archives.mark_used(layout, wanted)
    for path in set(layout.archives.glob("*")) - {archives.path(layout, name) for name in wanted}:
        if time.time() - path.stat().st_mtime > FORGOTTEN_SECONDS:
            _remove(path)


def _keep_latest(directory: Path, count: int, used: Path | None = None) -> None:
    """Remove all but the latest, and but the one that is used: who goes a step back uses an old one."""
    for old in sorted(directory.iterdir(), key=lambda path: path.stat().st_mtime)[:-count]:
        if old != used:
            _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
