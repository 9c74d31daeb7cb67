"""An environment of the commit before the container disk keeps its files, and nothing else of it stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioning.errors import InstallError
from provisioning.host.files import ensure_service_directory, refuse_links
from provisioning.install import legacy_layout
from provisioning.install.context import InstallContext
from provisioning.layout import Layout
from provisioning.progress import ProgressLog
from tests.unit.provisioning.install.contexts import context

PICTURES = ("output/u/aa/ComfyUI_00001_.png", "output/u/aa/sub/b.png", "input/u/aa/face.png", "user/u/aa/w.json")


@pytest.fixture
def here(layout: Layout, progress: ProgressLog) -> InstallContext:
    for name in PICTURES:
        path = layout.home / "base" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (layout.home / "services.json").write_text("a pepper in clear")
    for name in ("venvs/comfyui-1/bin/python", "gateway/gateway.db", "base/temp/x", "models/store/aa"):
        (layout.home / name).parent.mkdir(parents=True, exist_ok=True)
        (layout.home / name).write_text(name)
    (layout.home / "base/output/link").symlink_to("/etc/passwd")
    return context(layout, progress)


def stored(layout: Layout) -> dict[str, str]:
    return {str(path.relative_to(layout.files)): path.read_text() for path in layout.files.rglob("*") if path.is_file()}


def test_files_of_clients_move_and_the_rest_goes(here: InstallContext, layout: Layout) -> None:
    legacy_layout.take_over(here)
    assert stored(layout) == {name: name for name in PICTURES}
    assert legacy_layout.is_there(layout)
    # The gateway takes its database over when it starts, and renames it.
    (layout.home / "gateway/gateway.db").rename(layout.home / "gateway/gateway.db.taken-over")
    legacy_layout.clear(here)
    assert not legacy_layout.is_there(layout)
    assert sorted(path.name for path in layout.home.iterdir()) == ["files", "models"]
    assert (layout.model_store / "aa").exists()


def test_a_database_that_was_not_taken_over_stays(here: InstallContext, layout: Layout) -> None:
    legacy_layout.clear(here)
    assert (layout.home / "gateway/gateway.db").exists()
    assert not (layout.home / "services.json").exists()


@pytest.mark.parametrize("after", range(5))
def test_killed_anywhere_it_is_done_again_and_ends_well(
    here: InstallContext, layout: Layout, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    left, rename = [after], Path.rename

    def dying(self: Path, target: Path) -> Path:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", dying)
    if after < len(PICTURES):
        with pytest.raises(KeyboardInterrupt):
            legacy_layout.take_over(here)
    monkeypatch.setattr(Path, "rename", rename)
    legacy_layout.take_over(here)
    legacy_layout.take_over(here)
    assert stored(layout) == {name: name for name in PICTURES}


def test_a_file_that_a_client_wrote_meanwhile_stays(here: InstallContext, layout: Layout) -> None:
    newer = layout.files / PICTURES[0]
    newer.parent.mkdir(parents=True)
    newer.write_text("newer")
    legacy_layout.take_over(here)
    assert newer.read_text() == "newer"


def test_no_link_on_the_volume_leads_root_anywhere(here: InstallContext, layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc").chmod(0o755)
    layout.files.mkdir()
    (layout.files / "output").symlink_to(tmp_path / "etc")
    with pytest.raises(OSError, match="directory"):
        legacy_layout.take_over(here)
    layout.gateway_log.symlink_to(tmp_path / "etc")
    with pytest.raises(OSError, match="directory"):
        ensure_service_directory(layout.gateway_log, None)
    with pytest.raises(InstallError, match="gateway-log is a link"):
        refuse_links(layout.on_volume)
    assert (tmp_path / "etc").stat().st_mode & 0o777 == 0o755
    assert list((tmp_path / "etc").iterdir()) == []
