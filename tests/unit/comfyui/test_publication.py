"""What is published is the same everywhere, whole at every moment, and real git takes it over plain HTTP."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from tests.comfyui import Published, publish
from tests.comfyui.files import source_files
from tests.comfyui.git_objects import Release, write_repository
from tests.comfyui.pins import pins
from tests.comfyui.source.standin.model_files import SafetensorError, read_header

COMFYUI = Path(__file__).parents[2] / "comfyui"
ROOT = COMFYUI.parents[1]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
        """Say nothing: the test's output is for the test."""


@pytest.fixture
def url(published: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=published)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def _git(*words: str, folder: Path | None = None) -> str:
    clean = {
        "PATH": os.environ["PATH"],
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "HOME": os.devnull,
    }
    run = subprocess.run(["git", *words], cwd=folder, env=clean, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def _anywhere(published: Published) -> Published:
    return replace(published, directory=Path())


def _snapshot(directory: Path) -> dict[str, tuple[int, int, int]]:
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns, path.stat().st_mode) for path in paths}


def test_it_is_the_same_whoever_publishes(tmp_path: Path) -> None:
    first = publish(tmp_path / "first")
    before = os.umask(0o077)
    try:
        second = publish(tmp_path / "deep" / "second")
    finally:
        os.umask(before)
    assert _anywhere(first) == _anywhere(second)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "deep").rglob("*")}
    assert modes == {0o644, 0o755}, "a pod's users read these files, whatever the umask was"


def test_a_second_time_rewrites_nothing(tmp_path: Path) -> None:
    publish(tmp_path)
    before = _snapshot(tmp_path)
    publish(tmp_path)
    assert _snapshot(tmp_path) == before
    assert not [name for name in before if "/." in name.removeprefix(str(tmp_path))], "drafts are left behind"


def test_what_is_missing_or_was_changed_is_put_right(tmp_path: Path) -> None:
    published = publish(tmp_path)
    commit = published.comfyui.commit
    (tmp_path / "comfyui.git" / "objects" / commit[:2] / commit[2:]).unlink()
    (tmp_path / "comfyui.git" / "info" / "refs").write_text("torn", encoding="utf-8")
    (tmp_path / published.models[0].path).write_bytes(b"half a model")
    assert publish(tmp_path) == published
    _git("fsck", "--strict", "--full", folder=tmp_path / "comfyui.git")
    assert hashlib.sha256((tmp_path / published.models[0].path).read_bytes()).hexdigest() == published.models[0].sha256


def test_git_clones_every_release_over_plain_http(url: str, published: Path, tmp_path: Path) -> None:
    expected = publish(published)
    for repository, folder in ((expected.comfyui, "source"), (expected.custom_node, "custom_node")):
        clone = tmp_path / folder
        _git("clone", "--quiet", f"{url}/{repository.path}", str(clone))
        _git("fsck", "--strict", folder=clone)
        for tag, commit in repository.releases.items():
            assert _git("rev-parse", f"{tag}^{{commit}}", folder=clone).strip() == commit
        _git("checkout", "--quiet", repository.commit, folder=clone)
        assert source_files(clone) == source_files(COMFYUI / folder)


def test_a_tag_is_resolved_without_cloning(url: str, published: Path) -> None:
    releases = publish(published).comfyui.releases
    found = {line.split("\t")[1]: line.split("\t")[0] for line in _git("ls-remote", f"{url}/comfyui.git").splitlines()}
    assert {tag: found[f"refs/tags/{tag}^{{}}"] for tag in releases} == releases
    assert found["refs/heads/main"] == list(releases.values())[-1]


def test_git_itself_names_the_commits_alike(published: Path) -> None:
    repository = published / "custom-node.git"
    body = _git("cat-file", "commit", "main", folder=repository).encode()
    framed = f"commit {len(body)}\0".encode() + body
    assert hashlib.sha1(framed, usedforsecurity=False).hexdigest() == publish(published).custom_node.commit
    assert _git("ls-tree", "--name-only", "main", folder=repository).split() == ["README.md", "__init__.py"]


def test_releases_differ_in_their_version_alone(published: Path) -> None:
    old, new = publish(published).comfyui.releases.values()
    assert _git("diff", "--name-only", old, new, folder=published / "comfyui.git").split() == ["comfyui_version.py"]
    assert '"0.38.0"' in _git("show", f"{old}:comfyui_version.py", folder=published / "comfyui.git")


def test_a_new_release_leaves_the_old_commits_readable(tmp_path: Path) -> None:
    old = write_repository(tmp_path / "r.git", (Release("v1", {"a.txt": b"one"}),))
    new = write_repository(tmp_path / "r.git", (Release("v1", {"a.txt": b"one"}), Release("v2", {"b/c.txt": b"two"})))
    assert new["v1"] == old["v1"]
    assert _git("show", f"{new['v2']}:b/c.txt", folder=tmp_path / "r.git") == "two"


def test_trees_are_sorted_as_git_sorts_them(tmp_path: Path) -> None:
    files = {"a/x.txt": b"1", "a.txt": b"2", "a-b.txt": b"3", "ab/y/z.txt": b"4", "ä.txt": b"5"}
    write_repository(tmp_path / "r.git", (Release("v1", files),))
    _git("fsck", "--strict", folder=tmp_path / "r.git")


def test_line_ends_of_a_checkout_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"one\r\ntwo\r\n")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"\0")
    assert source_files(tmp_path) == {"a.py": b"one\ntwo\n"}


def test_models_are_small_and_real(published: Path, tmp_path: Path) -> None:
    for model in publish(published).models:
        path = published / model.path
        assert read_header(path)["__metadata__"]["title"] == model.name
        assert path.stat().st_size == model.size_bytes
        assert 200_000 < model.size_bytes < 5_000_000
        assert hashlib.sha256(path.read_bytes()).hexdigest() == model.sha256
        assert path.stat().st_size % 8 == 0
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SafetensorError, match="not fully covered"):
        read_header(cut)


def test_the_local_stack_names_what_is_published(published: Path) -> None:
    told = yaml.safe_load(pins(publish(published)))
    stack = yaml.safe_load((ROOT / "stacks" / "Pulumi.local.yaml").read_text(encoding="utf-8"))["config"]
    comfyui = stack["comfyui-runpod:comfyui"]
    assert {name: comfyui[name] for name in told["comfyui"]} == told["comfyui"]
    nodes = [{name: node[name] for name in told["nodes"][0]} for node in stack["comfyui-runpod:nodes"]]
    assert nodes == told["nodes"]
    models = (ROOT / stack["comfyui-runpod:models"]).read_text(encoding="utf-8")
    assert yaml.safe_load(models) == told["models"]


def test_the_command_prints_what_it_published(tmp_path: Path) -> None:
    run = _command(str(tmp_path))
    told = json.loads(run.stdout)
    published = publish(tmp_path)
    assert told["comfyui"]["commit"] == published.comfyui.commit
    assert [model["sha256"] for model in told["models"]] == [model.sha256 for model in published.models]
    assert _command("--pins").stdout == pins(published)
    assert "name a directory" in _command(code=2).stderr


def _command(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "tests.comfyui", *words]
    run = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == code, run.stderr
    return run


def test_the_stand_in_stands_alone() -> None:
    allowed = {"aiohttp", "PIL", "standin"} | sys.stdlib_module_names
    for path in [*(COMFYUI / "source").rglob("*.py"), *(COMFYUI / "custom_node").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names.append(node.module)
            assert {name.split(".")[0] for name in names} <= allowed, path


def test_the_lock_holds_what_the_stand_in_requires() -> None:
    lock = (COMFYUI / "requirements.lock").read_text(encoding="utf-8")
    for line in (COMFYUI / "source" / "requirements.txt").read_text(encoding="utf-8").splitlines():
        assert f"\n{line.split('>')[0]}==" in lock
    assert "http" not in lock.replace("aiohttp", ""), "the lock names an address"
