"""The set-up: what must be there, what is done again and what is not, and what a failure leaves."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.emulator.runtimes import namespace_check
from tests.unit.processes import ends
from tools import bootstrap, launcher, prerequisites, progress, setup_state, system_packages
from tools.engine import build
from tools.engine.sources import InstalledEngine, UnavailableError
from tools.errors import SetupError
from tools.file_lock import exclusive
from tools.paths import SetupPaths, find
from tools.plugins import install as plugins

CHECKOUT = Path(__file__).resolve().parents[3]


def test_everything_missing_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"git .*; ssh .*; .*python3-venv") as caught:
        prerequisites.check(tmp_path / "none", which=lambda _: None, has_module=lambda _: False)
    assert "\n" not in str(caught.value)


def test_a_made_environment_needs_no_ensurepip(tmp_path: Path) -> None:
    prerequisites.check(tmp_path, which=lambda name: f"/usr/bin/{name}", has_module=lambda _: False)


def test_missing_prerequisites_end_with_code_2_and_leave_nothing(tmp_path: Path) -> None:
    for name in ("tools", "requirements.lock", "pyproject.toml"):
        (tmp_path / name).symlink_to(CHECKOUT / name)
    command = [sys.executable, "-c", "import tools.bootstrap as b, sys; sys.exit(b.main())"]
    answer = subprocess.run(
        command, cwd=tmp_path, env={"PATH": str(tmp_path), "HOME": str(tmp_path)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert answer.stderr.startswith("error: Missing on this machine: git")
    assert len(answer.stderr.splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"tools", "requirements.lock", "pyproject.toml", ".cache"}


def test_an_old_python_is_refused_in_one_sentence() -> None:
    program = (
        "import sys, runpy; from collections import namedtuple;"
        "sys.version_info = namedtuple('V', 'major minor micro')(3, 9, 2);"
        "runpy.run_path('tools/setup.py', run_name='__main__')"
    )
    answer = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert answer.stderr == (
        "Python 3.11 or newer is required and this is 3.9: install one and run `make PYTHON=python3.11 ...`.\n"
    )


def test_the_shared_cache_follows_the_home_folder(tmp_path: Path) -> None:
    assert find({"HOME": str(tmp_path)}).shared == tmp_path / ".cache" / "comfyui-runpod"
    assert find({"HOME": "/x", "XDG_CACHE_HOME": str(tmp_path)}).shared == tmp_path / "comfyui-runpod"
    assert find({}).shared == CHECKOUT / ".cache" / "shared"


@pytest.fixture
def paths(tmp_path: Path) -> SetupPaths:
    made = SetupPaths(tmp_path / "checkout", tmp_path / "shared")
    (made.venv / "bin").mkdir(parents=True)
    (made.venv / "bin" / "python").symlink_to(sys.executable)
    engine = tmp_path / "engine"
    engine.mkdir()
    (engine / "pulumi").touch()
    return made


def made_record(paths: SetupPaths, *, plugin: str = plugins.OFFICIAL, age: float = 0.0) -> setup_state.SetupState:
    engine = InstalledEngine(str(paths.checkout.parent / "engine"), "3.217.0", "built from source")
    return setup_state.SetupState("same", engine, plugin, str(paths.pulumi_home), time.time() - age)


def test_a_record_survives_writing_and_reading(paths: SetupPaths) -> None:
    made = made_record(paths)
    setup_state.save(paths.record, made)
    assert setup_state.load(paths.record) == made


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"engine": 3}'])
def test_a_damaged_record_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "setup.json").write_text(text)
    assert setup_state.load(tmp_path / "setup.json") is None


def test_nothing_is_done_again_while_all_is_in_place(paths: SetupPaths) -> None:
    assert setup_state.is_current(made_record(paths), "same", paths, plugins.STANDIN)


def test_changed_inputs_or_a_lost_engine_are_seen(paths: SetupPaths) -> None:
    assert not setup_state.is_current(made_record(paths), "other", paths, plugins.STANDIN)
    (paths.checkout.parent / "engine" / "pulumi").unlink()
    assert not setup_state.is_current(made_record(paths), "same", paths, plugins.STANDIN)


def test_a_standin_is_reconsidered_after_a_day(paths: SetupPaths) -> None:
    fresh = made_record(paths, plugin=plugins.STANDIN, age=3600)
    old = made_record(paths, plugin=plugins.STANDIN, age=25 * 3600)
    assert setup_state.is_current(fresh, "same", paths, plugins.STANDIN)
    assert not setup_state.is_current(old, "same", paths, plugins.STANDIN)


def test_make_setup_looks_for_the_official_plugin_at_once(paths: SetupPaths) -> None:
    setup_state.save(paths.record, made_record(paths, plugin=plugins.STANDIN))
    assert bootstrap._current(paths, "same", retry=False) is not None
    assert bootstrap._current(paths, "same", retry=True) is None
    setup_state.save(paths.record, made_record(paths))
    assert bootstrap._current(paths, "same", retry=True) is not None


def test_an_unreachable_site_gives_the_standin(paths: SetupPaths) -> None:
    engine = made_record(paths).engine
    assert plugins.install(paths, engine, {}, site="http://127.0.0.1:1") == plugins.STANDIN
    program = paths.pulumi_home / "plugins" / "resource-command-v1.2.1" / "pulumi-resource-command"
    assert os.access(program, os.X_OK)
    assert "Stand-in" in program.read_text()


def test_the_launcher_runs_the_engine_with_our_settings(paths: SetupPaths) -> None:
    launcher.write(paths)
    program = paths.venv / "bin" / "pulumi"
    assert os.access(program, os.X_OK)
    assert f'exec "{paths.venv}/bin/python" -m stacks.cli pulumi "$@"' in program.read_text()


def test_a_long_command_prints_regularly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    progress.run("waiting", ["sleep", "2"], log=tmp_path / "log", beat_seconds=0.05)
    assert capsys.readouterr().err.count("waiting:") >= 2


def test_a_failed_command_is_reported_with_its_last_lines(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"(?s)compiling failed with exit code 3.*no such package"):
        progress.run("compiling", ["sh", "-c", "echo no such package; exit 3"], log=tmp_path / "log")


def test_a_command_past_its_limit_is_ended_with_its_children(tmp_path: Path) -> None:
    script = f"sleep 60 & echo $! > {tmp_path}/child; wait"
    with pytest.raises(SetupError, match="was stopped"):
        progress.run("hanging", ["sh", "-c", script], log=tmp_path / "log", limit_seconds=5.0, beat_seconds=0.05)
    assert ends(int((tmp_path / "child").read_text()))


def test_a_failed_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "go"
    compiler.write_text("#!/bin/sh\necho cannot find module; exit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setattr("tools.engine.go.compiler", lambda *_: compiler)
    dirs = build.BuildDirs(tmp_path / "engine" / "v", tmp_path / "shared", tmp_path / "logs", Path("python"))
    with pytest.raises(UnavailableError, match="cannot find module"):
        build.from_source(dirs, dict(os.environ))
    assert list((tmp_path / "engine").iterdir()) == []


def test_a_lock_is_free_after_its_holder_died(tmp_path: Path) -> None:
    program = (
        "import os; from pathlib import Path; from tools.file_lock import exclusive\n"
        f"with exclusive(Path({str(tmp_path / 'lock')!r}), 'x'): os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, check=False)
    with exclusive(tmp_path / "lock", "x"):
        pass


def test_missing_system_packages_are_named_with_their_use() -> None:
    needs = system_packages.missing(lambda name: None if name == "sshd" else f"/usr/sbin/{name}")
    assert [(need.package, bool(need.used_for)) for need in needs] == [("openssh-server", True)]


def test_all_that_pods_in_namespaces_need_is_installed_for_the_tests() -> None:
    installed = {need.program: need.package for need in system_packages.NEEDS}
    assert namespace_check._TOOLS.items() <= installed.items()
