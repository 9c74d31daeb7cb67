"""A repository arrives at exactly its commit, from a plain file server too, or not at all."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from provisioning.contract import SourcePin
from provisioning.errors import InstallError
from provisioning.host.files import staging
from provisioning.install import sources

ENV = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        return


def _git(directory: Path, *args: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(["git", *identity, *args], cwd=directory, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[tuple[str, str, str]]:
    """A repository of two commits behind a plain file server: its URL, its older and its newer commit."""
    work = tmp_path / "work"
    work.mkdir()
    _git(work, "init", "-q", "-b", "main")
    commits = []
    for text in ("old", "new"):
        (work / "main.py").write_text(text)
        (work / "settings.default.json").write_text("{}")
        _git(work, "add", ".")
        _git(work, "commit", "-q", "-m", text)
        commits.append(_git(work, "rev-parse", "HEAD"))
    _git(tmp_path, "clone", "-q", "--bare", "work", "served.git")
    _git(tmp_path / "served.git", "update-server-info")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/served.git", commits[0], commits[1]
    server.shutdown()
    server.server_close()


def test_an_older_commit_is_checked_out(repository: tuple[str, str, str], tmp_path: Path) -> None:
    url, old, _ = repository
    sources.fetch(SourcePin("c", url, "v1", old), tmp_path / "c" / old, ENV)
    assert (tmp_path / "c" / old / "main.py").read_text() == "old"
    assert not (tmp_path / "c" / old / ".git").exists()


def test_a_default_setting_is_laid_out_for_a_node_that_may_not_write(
    repository: tuple[str, str, str], tmp_path: Path
) -> None:
    url, _, new = repository
    sources.fetch(SourcePin("c", url, "v1", new), tmp_path / "t", ENV)
    assert (tmp_path / "t" / "settings.json").read_text() == "{}"


def test_what_an_earlier_run_was_killed_over_does_no_harm(repository: tuple[str, str, str], tmp_path: Path) -> None:
    url, _, new = repository
    earlier = staging(tmp_path / "t")
    (earlier / ".git").mkdir(parents=True)
    (earlier / "stray").write_text("")
    sources.fetch(SourcePin("c", url, "v1", new), tmp_path / "t", ENV)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith((".t", "t"))] == ["t"]
    assert not (tmp_path / "t" / "stray").exists()


def test_a_tool_of_a_killed_run_that_still_writes_meets_no_other_run(tmp_path: Path) -> None:
    earlier = staging(tmp_path / "t")
    earlier.mkdir()
    assert staging(tmp_path / "t") != earlier


def test_a_commit_the_repository_lacks_is_named(repository: tuple[str, str, str], tmp_path: Path) -> None:
    with pytest.raises(InstallError, match="has no commit"):
        sources.fetch(SourcePin("c", repository[0], "v1", "0" * 40), tmp_path / "t", ENV)
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("absolute", [True, False])
def test_a_repository_cannot_make_root_write_outside_its_directory(tmp_path: Path, absolute: bool) -> None:
    """The installer is root: a link laid where a default setting is copied to would let a repository write anywhere."""
    checkout, outside = tmp_path / "checkout", tmp_path / "ld.so.preload"
    checkout.mkdir()
    (checkout / "x.default.json").write_text("/evil.so")
    (checkout / "x.json").symlink_to(outside if absolute else "../ld.so.preload")
    with pytest.raises(InstallError, match=r"x\.json points outside of the repository"):
        sources.refuse_links_out(checkout, "c")
    assert not outside.exists()


def test_a_fetched_repository_with_a_link_out_of_it_is_not_kept(
    repository: tuple[str, str, str], tmp_path: Path
) -> None:
    work = tmp_path / "work"
    (work / "x.default.json").write_text("/evil.so")
    (work / "x.json").symlink_to(tmp_path / "ld.so.preload")
    _git(work, "add", ".")
    _git(work, "commit", "-q", "-m", "evil")
    _git(tmp_path / "served.git", "fetch", "-q", str(work), "main:main")
    _git(tmp_path / "served.git", "update-server-info")
    pin = SourcePin("c", repository[0], "v1", _git(work, "rev-parse", "HEAD"))
    with pytest.raises(InstallError, match="points outside"):
        sources.fetch(pin, tmp_path / "t", ENV)
    assert not (tmp_path / "ld.so.preload").exists()
    assert not (tmp_path / "t").exists()


def test_links_within_a_repository_are_fine(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "up").symlink_to("../real")
    (tmp_path / "dangling").symlink_to("real/nothing")
    (tmp_path / "loop").symlink_to("loop")
    sources.refuse_links_out(tmp_path, "c")


@pytest.mark.parametrize("url", ["--upload-pack=touch pwned", "-x", "ext::sh -c x", "file:///etc", "https://a b", ""])
def test_an_address_that_git_could_take_for_something_else_is_refused(url: str) -> None:
    with pytest.raises(InstallError, match="address"):
        sources.validate(SourcePin("c", url, "v1", "0" * 40))


@pytest.mark.parametrize("url", ["ext::sh -c touch% pwned", "file:///etc", "/etc", "ssh://example.org/x"])
def test_only_http_is_spoken(tmp_path: Path, url: str) -> None:
    with pytest.raises(InstallError):
        sources.fetch(SourcePin("c", url, "v1", "0" * 40), tmp_path / "t", ENV)


@pytest.mark.parametrize(
    ("text", "found"),
    [('__version__ = "0.38.1"', (0, 38, 1)), ("__version__ = '0.28'", (0, 28)), ("nothing", None)],
)
def test_the_version_is_read(tmp_path: Path, text: str, found: tuple[int, ...] | None) -> None:
    (tmp_path / "comfyui_version.py").write_text(text)
    assert sources.version(tmp_path) == found
