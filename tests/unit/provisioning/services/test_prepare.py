"""What ComfyUI waits for after a stop: unpacked, linked, and copied where it must not reach the volume."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provisioning.contract import VOLUME_KEY_VARIABLE, GatewayPlan, ModelPin
from provisioning.layout import Layout
from provisioning.models import store
from provisioning.services import confine, prepare, service_spec
from provisioning.services.isolation import Isolation
from provisioning.services.service_spec import ComfyUIService, GatewayService, ServiceSpec, Tree
from provisioning.vault import archives

KEY = "k" * 64
WANTED = ServiceSpec(
    "digest",
    ComfyUIService(
        "venvs/c/bin/python",
        "sources/c",
        (),
        "r1",
        (Tree("source-c", "sources/c"), Tree("source-n", "sources/nodes/n/1")),
        (("n", "sources/nodes/n/1"),),
        (("vae/a.safetensors", "aa"), ("loras/b.safetensors", "aa")),
    ),
    GatewayService("venvs/g/bin/python", GatewayPlan({}, 0.5), "p" * 32, "", ""),
)


@pytest.fixture
def filled(layout: Layout, tmp_path: Path) -> Layout:
    """A volume as an installation left it, and an empty container disk."""
    for name in ("source-c", "source-n"):
        tree = tmp_path / name
        tree.mkdir()
        (tree / "main.py").write_text(name)
        archives.keep(layout, KEY, name, tree)
    layout.model_store.mkdir(parents=True)
    (layout.model_store / "aa").write_text("weights")
    return layout


def prepared(layout: Layout, how: Isolation = Isolation.LANDLOCK) -> list[str]:
    said: list[str] = []
    prepare.prepare(layout, WANTED, KEY, how, said.append)
    return said


def test_everything_is_in_place_and_only_then_comfyui_may_start(filled: Layout) -> None:
    prepared(filled)
    assert (filled.sources / "c" / "main.py").read_text() == "source-c"
    assert (filled.nodes / "n" / "main.py").read_text() == "source-n"
    assert (filled.model_folders / "vae/a.safetensors").resolve() == (filled.model_store / "aa").resolve()
    assert filled.prepared.exists()


def test_existing_trees_are_not_unpacked_again(filled: Layout) -> None:
    assert len(prepared(filled)) == 2
    assert prepared(filled) == []


def test_unused_nodes_and_models_are_removed(filled: Layout) -> None:
    (filled.nodes / "left").mkdir(parents=True)
    (filled.nodes / "stray.py").write_text("")
    (filled.model_folders / "vae").mkdir(parents=True)
    (filled.model_folders / "vae" / "old.safetensors").symlink_to(filled.model_store / "aa")
    prepared(filled)
    assert [path.name for path in filled.nodes.iterdir()] == ["n"]
    assert [path.name for path in (filled.model_folders / "vae").iterdir()] == ["a.safetensors"]


def test_behind_a_closed_folder_one_copy_serves_all_names(filled: Layout) -> None:
    assert sum("copying" in line for line in prepared(filled, Isolation.FOLDER)) == 1
    for name in ("vae/a.safetensors", "loras/b.safetensors"):
        assert (filled.model_folders / name).resolve() == (filled.model_copies / "aa").resolve()
    (filled.model_copies / "bb").write_text("of a former plan")
    assert prepared(filled, Isolation.FOLDER) == []
    assert [path.name for path in filled.model_copies.iterdir()] == ["aa"]


def test_a_link_among_the_models_makes_nothing_readable(filled: Layout, tmp_path: Path) -> None:
    (tmp_path / "environ").write_text("the pod's key")
    (filled.model_store / "aa").unlink()
    (filled.model_store / "aa").symlink_to(tmp_path / "environ")
    with pytest.raises(OSError, match="symbolic links"):
        prepared(filled, Isolation.FOLDER)
    assert not any(path.read_bytes() for path in filled.model_copies.iterdir())
    pin = ModelPin("a.safetensors", "vae", "https://x.test/a", "aa")
    assert store.stored(filled, pin) is None


def test_a_changed_archive_keeps_comfyui_from_starting(
    filled: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = archives.path(filled, "source-n")
    path.write_bytes(path.read_bytes().replace(b"source-n", b"source-x"))
    service_spec.store(filled, WANTED)
    filled.environ.write_bytes(f"{VOLUME_KEY_VARIABLE}={KEY}\0".encode())
    monkeypatch.setenv("POD_ROOT", str(filled.root))
    monkeypatch.setattr(confine, "abi", lambda: 3)
    before = os.umask(0o022)
    assert prepare.main(sleep=lambda _: None) == 1
    os.umask(before)
    assert not filled.prepared.exists()
    assert not (filled.sources / "nodes/n/1").exists()
    said = capsys.readouterr().out
    assert "was changed since" in said
    assert "make up" in said
