"""What lies on the volume for the next start: used when this stack wrote it, refused when anybody changed it."""

from __future__ import annotations

import errno
import os
import stat
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioning.contract import GatewayPlan
from provisioning.errors import InstallError
from provisioning.host.files import staging
from provisioning.layout import Layout
from provisioning.services import restore, sealed_record, service_spec
from provisioning.services.service_spec import ComfyUIService, GatewayService, ServiceSpec, Tree
from provisioning.vault import archives, sealing, signed
from provisioning.vault.signed import UntrustedFileError

KEY = "k" * 64
CANARIES = ("pepper-canary-0123", "client-canary", "admin-canary", "postgresql://canary")


def wanted() -> ServiceSpec:
    trees = (Tree("source-c-1", "sources/c"),)
    comfyui = ComfyUIService(
        "venvs/c/bin/python", "sources/c", ("--cpu",), "r1", trees, (("n", "x"),), (("vae/a", "f"),)
    )
    gateway = GatewayService("venvs/gateway-1/bin/python", GatewayPlan({}, 0.5), *CANARIES)
    return ServiceSpec("digest", comfyui, gateway, "folder", 60)


@pytest.fixture
def python(layout: Layout) -> Path:
    """The gateway's interpreter, where the record says it is."""
    path = layout.local / wanted().gateway.python
    path.parent.mkdir(parents=True)
    path.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    directory = tmp_path / "tree"
    (directory / "bin").mkdir(parents=True)
    (directory / "bin" / "tool").write_text("#!/bin/sh\n")
    (directory / "bin" / "tool").chmod(0o755)
    (directory / "bin" / "python").symlink_to("/usr/bin/python3")
    return directory


def test_a_signed_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    signed.write(tmp_path / "a", KEY, b"content")
    assert signed.read(tmp_path / "a", KEY) == b"content"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def _flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)


def _renamed(path: Path) -> None:
    other = path.with_name("older")
    signed.write(other, KEY, b"older and ours")
    other.rename(path)


CHANGES: list[Callable[[Path], object]] = [
    _flipped,
    _renamed,
    lambda path: path.write_bytes(path.read_bytes()[:-1]),
    lambda path: path.write_bytes(path.read_bytes() + b"x"),
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(b"planted"),
    lambda path: signed.write(path, "another key", b"content"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_is_refused_and_leaves_nothing(tmp_path: Path, change: Callable[[Path], object]) -> None:
    path = tmp_path / "a"
    signed.write(path, KEY, b"content")
    change(path)
    with pytest.raises(UntrustedFileError, match="make up"):
        signed.read(path, KEY)
    with pytest.raises(UntrustedFileError):
        signed.copy(path, KEY, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_without_a_key_nothing_is_written_or_believed(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match="volume key"):
        signed.write(tmp_path / "a", "", b"content")
    assert not list(tmp_path.iterdir())


def test_a_full_volume_is_named_and_the_former_file_stays(tmp_path: Path) -> None:
    signed.write(tmp_path / "a", KEY, b"former")

    def fill() -> None:
        with signed.writing(tmp_path / "a", KEY) as file:
            file.write(b"new")
            raise OSError(errno.EDQUOT, "quota")

    with pytest.raises(InstallError, match=os.strerror(errno.EDQUOT)):
        fill()
    assert signed.read(tmp_path / "a", KEY) == b"former"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_read_that_fails_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signed.write(tmp_path / "a", KEY, b"content")
    faults = [OSError(errno.EIO, "input/output error")] * 2
    plain = Path.open

    def flaky(self: Path, *arguments: object, **more: object) -> object:
        if faults:
            raise faults.pop()
        return plain(self, *arguments, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", flaky)
    assert signed.read(tmp_path / "a", KEY, sleep=lambda _: None) == b"content"
    assert faults == []


def test_a_tree_comes_back_with_modes_links_and_times(layout: Layout, tree: Path) -> None:
    archives.keep(layout, KEY, "tree-1", tree)
    assert archives.exists(layout, "tree-1")
    archives.unpack(layout, KEY, "tree-1", layout.local / "venvs" / "tree-1")
    found = layout.local / "venvs" / "tree-1" / "bin"
    assert stat.S_IMODE((found / "tool").stat().st_mode) == 0o755
    assert (found / "python").readlink() == Path("/usr/bin/python3")
    assert int((found / "tool").stat().st_mtime) == int((tree / "bin" / "tool").stat().st_mtime)
    assert [path.name for path in (layout.local / "venvs").iterdir()] == ["tree-1"]


def test_a_start_that_fails_leaves_alone_what_an_installation_builds_meanwhile(layout: Layout, tree: Path) -> None:
    """boot.sh tries a refused archive again and again, also while `up` makes its tree anew."""
    target = layout.local / "venvs" / "tree-1"
    built = staging(target)
    built.mkdir(parents=True)
    signed.write(archives.path(layout, "tree-1"), "another key", b"x")
    with pytest.raises(UntrustedFileError):
        archives.unpack(layout, KEY, "tree-1", target)
    assert built.is_dir()


def test_an_archive_of_somebody_else_is_not_unpacked(layout: Layout, tree: Path) -> None:
    layout.archives.mkdir(parents=True)
    with tarfile.open(archives.path(layout, "tree-1"), "w") as tar:
        tar.add(tree, arcname=".")
    with pytest.raises(UntrustedFileError):
        archives.unpack(layout, KEY, "tree-1", layout.local / "venvs" / "tree-1")
    assert list((layout.local / "venvs").iterdir()) == []


def test_an_archive_that_no_start_can_use_is_known_as_such_and_read_but_once(layout: Layout, tree: Path) -> None:
    """A stack that takes over a kept volume finds archives of the right name under another stack's key."""
    assert not archives.is_intact(layout, KEY, "tree-1")
    archives.keep(layout, "the former stack's key", "tree-1", tree)
    (layout.checked / "tree-1").unlink()
    assert not archives.is_intact(layout, KEY, "tree-1")
    archives.keep(layout, KEY, "tree-1", tree)
    (layout.checked / "tree-1").unlink()
    assert archives.is_intact(layout, KEY, "tree-1")
    assert (layout.checked / "tree-1").exists()


def test_no_secret_lies_on_the_volume_in_clear(layout: Layout, python: Path) -> None:
    sealed_record.store(layout, KEY, wanted())
    written = b"".join(path.read_bytes() for path in layout.volume.rglob("*") if path.is_file())
    assert not [canary for canary in (*CANARIES, KEY) if canary.encode() in written]
    assert sealed_record.decrypt(layout, KEY, sealed_record.read(layout, KEY)) == wanted()
    assert sealed_record.read(layout, KEY).archive == "gateway-1"
    assert python.exists()


def test_what_another_key_sealed_cannot_be_opened(python: Path) -> None:
    text = sealing.run(python, "seal", KEY, "secret")
    assert sealing.run(python, "open", KEY, text) == "secret"
    with pytest.raises(InstallError, match="another key"):
        sealing.run(python, "open", "x" * 64, text)


def test_a_start_restores_what_boot_runs_then(layout: Layout, python: Path) -> None:
    sealed_record.store(layout, KEY, wanted())
    archives.keep(layout, KEY, wanted().gateway.archive, python.parents[1])
    before = python.read_text()
    python.unlink()
    python.parent.rmdir()
    python.parents[1].rmdir()
    restore.restore(layout, KEY)
    assert python.read_text() == before
    assert service_spec.read(layout) == wanted()
    assert "bundle/digest" in layout.start.read_text()


def test_a_start_refuses_a_record_that_was_planted(layout: Layout, python: Path) -> None:
    sealed_record.store(layout, "the key of somebody else", wanted())
    with pytest.raises(UntrustedFileError):
        restore.restore(layout, KEY)
    assert python.exists()
    assert not layout.start.exists()
    assert service_spec.read(layout) is None
