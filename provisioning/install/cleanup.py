"""Remove leftovers of killed runs and unused files, after the services answer."""

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
"""Age after which unused archives are removed. A running pod marks the archives of its next start every hour."""


def remove_leftovers(context: InstallContext) -> None:
    """Remove everything that is unused."""
    layout = context.layout
    for staged in _staged(layout):
        _remove(staged)
    _remove_unused_trees(context)
    _remove_unused_archives(context)
    _keep_latest(layout.jobs, KEPT_RUNS)
    _keep_latest(layout.bundles, KEPT_BUNDLES, context.bundle)


def _staged(layout: Layout) -> list[Path]:
    """Return unfinished temporary files, except in directories that a service can write to."""
    parts = ("", "boot", "venvs", "sources/*", "sources/nodes/*", "base/custom_nodes", "base/models/*")
    kinds = ("staged", "unpacked", "unpacked.tar")
    names = [f"{part}/.*.{kind}".lstrip("/") for part in parts for kind in kinds]
    unfinished = [path for name in names for path in layout.local.glob(name)]
    kept = [path for part in ("", "archives", "models/*") for path in layout.home.glob(f"{part}/.*.staged".lstrip("/"))]
    return [*unfinished, *kept, *layout.model_staging.glob("*")]


def _remove_unused_trees(context: InstallContext) -> None:
    """Remove unused environments from the container disk; the volume keeps them for a day."""
    wanted = {uv.directory(context.layout), *(venv.directory(context.layout) for venv in InstallPaths(context).venvs)}
    for directory in set(context.layout.venvs.iterdir()) - wanted:
        _remove(directory)


def _remove_unused_archives(context: InstallContext) -> None:
    layout, wanted = context.layout, {packages.archive(context.layout), *InstallPaths(context).kept}
    archives.mark_used(layout, wanted)
    for path in set(layout.archives.glob("*")) - {archives.path(layout, name) for name in wanted}:
        if time.time() - path.stat().st_mtime > FORGOTTEN_SECONDS:
            _remove(path)


def _keep_latest(directory: Path, count: int, used: Path | None = None) -> None:
    """Remove all entries except the latest and the one in use, which may be an old one after a rollback."""
    for old in sorted(directory.iterdir(), key=lambda path: path.stat().st_mtime)[:-count]:
        if old != used:
            _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
