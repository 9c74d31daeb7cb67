"""Removes what killed runs left behind and what nothing wants any more; only after the services answer."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from provisioning.install import uv
from provisioning.install.site import Site
from provisioning.install.targets import Targets
from provisioning.layout import Layout

KEPT_RUNS = 10
KEPT_BUNDLES = 3
"""Another pod on the same volume may still run from an earlier one."""
FORGOTTEN_SECONDS = 86400.0
"""Environments that nothing wants any more stay for a day: a step back then costs nothing."""


def tidy(site: Site) -> None:
    """Do all of it."""
    layout = site.layout
    for staged in _staged(layout):
        _remove(staged)
    _forget_venvs(site)
    _keep_latest(layout.jobs, KEPT_RUNS)
    _keep_latest(layout.bundles, KEPT_BUNDLES)


def _staged(layout: Layout) -> list[Path]:
    """Return what was written beside its place and never got there; looks in no directory a service may write to."""
    parts = ("", "boot", "venvs", "sources/*", "sources/nodes/*", "models/*", "base/custom_nodes", "base/models/*")
    unfinished = [path for part in parts for path in layout.home.glob(f"{part}/.*.staged".lstrip("/"))]
    return [*unfinished, *layout.model_staging.glob("*")]


def _forget_venvs(site: Site) -> None:
    wanted = {uv.directory(site.layout), *(venv.directory(site.layout) for venv in Targets(site).venvs)}
    for directory in set(site.layout.venvs.iterdir()) - wanted:
        if time.time() - directory.stat().st_mtime > FORGOTTEN_SECONDS:
            _remove(directory)


def _keep_latest(directory: Path, count: int) -> None:
    for old in sorted(directory.iterdir(), key=lambda path: path.stat().st_mtime)[:-count]:
        _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
