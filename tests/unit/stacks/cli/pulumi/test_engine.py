"""Following the engine: never silent, interrupted once and with a bound, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stacks.cli.checkout import Checkout
from stacks.cli.errors import CliError
from stacks.cli.pulumi.engine import INTERRUPTED, Engine
from tests.unit.processes import ends


def engine(tmp_path: Path, script: str) -> Engine:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "pulumi").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "pulumi").chmod(0o755)
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "setup.json").write_text(json.dumps({"engine": {"folder": str(folder)}}))
    return Engine(Checkout(tmp_path, "dev"), {"PATH": "/usr/bin:/bin"})


def test_output_is_passed_on_and_the_exit_code_is_plain(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert engine(tmp_path, 'echo "$@"; exit 255').follow("up", "--yes") == 1
    assert b"up --yes --stack dev --non-interactive --color never" in capfdbinary.readouterr().out


def test_a_silent_engine_gets_progress_lines(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert replace(engine(tmp_path, "sleep 1.2"), quiet_seconds=0.1).follow("up") == 0
    assert "running for" in capfd.readouterr().out


def interrupted(tmp_path: Path, script: str, signals: int) -> tuple[int, float]:
    """Exit code and seconds of a command that is sent SIGINT so many times once the engine has started."""
    engine(tmp_path, script.replace("; while", f"; touch {tmp_path}/started; while"))
    program = (
        "import sys; from pathlib import Path\n"
        "from stacks.cli.checkout import Checkout; from stacks.cli.pulumi.engine import Engine\n"
        f"sys.exit(Engine(Checkout(Path({str(tmp_path)!r}), 'dev'), {{'PATH': '/usr/bin:/bin'}}).follow('up'))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], start_new_session=True, stdout=subprocess.DEVNULL
    ) as process:
        try:
            while process.poll() is None and not (tmp_path / "started").exists():
                time.sleep(0.02)
            started = time.monotonic()
            for _ in range(signals):
                os.killpg(process.pid, signal.SIGINT)
                time.sleep(0.3)
            return process.wait(timeout=60), time.monotonic() - started
        finally:
            process.kill()


def test_an_interrupt_reaches_the_engine_once_and_it_may_finish(tmp_path: Path) -> None:
    script = f"trap 'echo x >> {tmp_path}/got; sleep 0.5; exit 9' INT; while :; do sleep 0.1; done"
    code, _ = interrupted(tmp_path, script, signals=1)
    assert code == INTERRUPTED
    assert (tmp_path / "got").read_text() == "x\n"


class InterruptedStart(Checkout):
    """A checkout where Ctrl-C comes while the engine is being started."""

    def setup(self) -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGINT)
        return super().setup()


def test_an_interrupt_while_the_engine_starts_reaches_it_once(tmp_path: Path) -> None:
    script = f"trap 'echo x >> {tmp_path}/got; sleep 0.5; exit 9' INT; while :; do sleep 0.1; done"
    environ = engine(tmp_path, script).environ
    assert Engine(InterruptedStart(tmp_path, "dev"), environ).follow("up") == INTERRUPTED
    # The shell may be interrupted before it has set its trap.
    assert not (tmp_path / "got").exists() or (tmp_path / "got").read_text() == "x\n"


def test_a_second_interrupt_does_not_wait_and_leaves_no_process(tmp_path: Path) -> None:
    script = f"trap '' INT; sleep 60 & echo $! > {tmp_path}/child; while :; do sleep 0.1; done"
    code, seconds = interrupted(tmp_path, script, signals=2)
    assert code == INTERRUPTED
    assert seconds < 50
    child = (tmp_path / "child").read_text().strip()
    assert ends(int(child))


def test_a_failed_query_contains_the_engines_error(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="`pulumi stack output` failed: no stack"):
        engine(tmp_path, "echo no stack >&2; exit 255").query("stack", "output", "--json")


def test_a_secret_goes_by_standard_input_and_not_by_argument(tmp_path: Path) -> None:
    answer = engine(tmp_path, 'echo "$@"; cat').query_with_input("rpa_hidden", "config", "set")
    assert answer.splitlines() == ["config set --stack dev --non-interactive", "rpa_hidden"]
