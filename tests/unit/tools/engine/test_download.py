"""The official release: checked, whole or not at all, and given up at once where the site is out of reach."""

import hashlib
import io
import shutil
import tarfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tools.engine import download
from tools.engine.sources import UnavailableError
from tools.engine.versions import RELEASE


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    monkeypatch.setattr(download, "_platform", lambda: "linux-x64")
    folder = tmp_path / "site"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", folder
        server.shutdown()
        thread.join()


def publish(folder: Path, *, sum_of: bytes | None = None, name: str = f"pulumi-v{RELEASE}-linux-x64.tar.gz") -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("pulumi/pulumi")
        entry.size, entry.mode = 4, 0o755
        archive.addfile(entry, io.BytesIO(b"test"))
    (folder / f"pulumi-v{RELEASE}-linux-x64.tar.gz").write_bytes(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue() if sum_of is None else sum_of).hexdigest()
    sums = folder / f"v{RELEASE}" / f"pulumi-{RELEASE}-checksums.txt"
    sums.parent.mkdir()
    sums.write_text(f"{digest}  {name}\n")


def test_a_release_is_unpacked_into_place(site: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = site
    publish(folder)
    engine = download.official(tmp_path / "engine" / RELEASE, archives=url, sums=url)
    assert (Path(engine.folder) / "pulumi").read_bytes() == b"test"
    assert engine.version == RELEASE


def test_a_release_is_renamed_and_never_copied_file_by_file(
    site: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that is killed leaves a `pulumi` that the next set-up takes as downloaded before."""
    url, folder = site
    publish(folder)
    for name in ("copytree", "copy2", "copyfile"):
        monkeypatch.setattr(shutil, name, lambda *_, **__: pytest.fail("the engine is copied"))
    target = tmp_path / "engine" / RELEASE
    (target / "bin").mkdir(parents=True)
    (target / "bin" / "left-by-a-killed-copy").touch()
    assert download.official(target, archives=url, sums=url).folder == str(target / "bin")
    assert [file.name for file in (target / "bin").iterdir()] == ["pulumi"]


def test_a_wrong_sum_installs_nothing(site: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = site
    publish(folder, sum_of=b"something else")
    with pytest.raises(UnavailableError, match="nothing was installed"):
        download.official(tmp_path / "engine" / RELEASE, archives=url, sums=url)
    assert list((tmp_path / "engine").iterdir()) == []


def test_a_sum_that_is_not_published_installs_nothing(site: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = site
    publish(folder, name="pulumi-for-something-else.tar.gz")
    with pytest.raises(UnavailableError, match="do not contain"):
        download.official(tmp_path / "engine" / RELEASE, archives=url, sums=url)


def test_an_unreachable_site_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="not reachable"):
        download.official(tmp_path / "engine" / RELEASE, archives="http://127.0.0.1:1", sums="http://127.0.0.1:1")


def test_a_machine_without_a_release_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(UnavailableError, match="riscv64"):
        download.official(tmp_path / "engine")
