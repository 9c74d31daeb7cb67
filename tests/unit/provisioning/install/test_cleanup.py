"""What goes after an installation: what nobody wants and nobody used for a day, and nothing else."""

from __future__ import annotations

import os
import time

import pytest

from provisioning.install.cleanup import FORGOTTEN_SECONDS, remove_leftovers
from provisioning.install.paths import InstallPaths
from provisioning.layout import Layout
from provisioning.progress import ProgressLog
from provisioning.vault import archives
from tests.unit.provisioning.install.contexts import context

OLD = FORGOTTEN_SECONDS * 2


@pytest.mark.parametrize(("age", "stays"), [(OLD, False), (FORGOTTEN_SECONDS / 2, True)])
def test_an_archive_goes_a_day_after_its_last_use(
    layout: Layout, progress: ProgressLog, age: float, stays: bool
) -> None:
    here = context(layout, progress)
    wanted = [archives.path(layout, name) for name in InstallPaths(here).kept]
    other = archives.path(layout, "comfyui-of-another-pod")
    for directory in (layout.archives, layout.jobs, layout.bundles, layout.venvs):
        directory.mkdir(parents=True, exist_ok=True)
    for path in (*wanted, other):
        path.touch()
        os.utime(path, (time.time() - age, time.time() - age))
    remove_leftovers(here)
    assert other.exists() is stays
    assert all(path.exists() for path in wanted)


def test_unfinished_writes_go_and_environments_that_this_pod_no_longer_runs_from(
    layout: Layout, progress: ProgressLog
) -> None:
    here = context(layout, progress)
    for directory in (layout.archives, layout.jobs, layout.bundles, layout.venvs / "comfyui-former"):
        directory.mkdir(parents=True, exist_ok=True)
    left = layout.archives / ".gateway-1.tar.abcd.staged"
    left.touch()
    kept = InstallPaths(here).comfyui_venv.directory(layout)
    kept.mkdir(parents=True)
    remove_leftovers(here)
    assert not left.exists()
    assert list(layout.venvs.iterdir()) == [kept]


def test_the_program_that_runs_stays_however_old_it_is(layout: Layout, progress: ProgressLog) -> None:
    here = context(layout, progress)
    for directory in (layout.archives, layout.jobs, layout.venvs):
        directory.mkdir(parents=True, exist_ok=True)
    for number in range(5):
        (layout.bundles / f"later-{number}").mkdir()
    os.utime(here.bundle, (1.0, 1.0))
    remove_leftovers(here)
    assert here.bundle.is_dir()
    assert len(list(layout.bundles.iterdir())) == 4
