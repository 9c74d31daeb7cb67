"""A recorded process is that process and no other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.emulator.runtimes import namespace_processes as processes
from tests.emulator.runtimes.namespace_processes import ProcessId

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc and pidfds are Linux's")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def test_a_running_process_is_known_with_its_start(sleeper: subprocess.Popen[bytes]) -> None:
    process = ProcessId.of(sleeper.pid)
    assert processes.is_running(process)


@pytest.mark.parametrize("change", [{"start_ticks": 1}, {"boot": "another"}])
def test_a_number_given_to_another_process_is_never_signalled(
    sleeper: subprocess.Popen[bytes], change: dict[str, int | str]
) -> None:
    stranger = replace(ProcessId.of(sleeper.pid), **change)  # type: ignore[arg-type]  # mypy cannot see through **
    assert not processes.is_running(stranger)
    processes.send(stranger, signal.SIGKILL)
    processes.end(stranger)
    assert sleeper.poll() is None


def test_one_that_ended_unwaited_for_does_not_run_and_is_waited_for() -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    process = ProcessId.of(pid)
    assert processes.wait_gone(process, 60)
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def test_no_process_has_no_identity() -> None:
    with pytest.raises(ProcessLookupError):
        ProcessId.of(2**22 + 1)


def test_end_asks_first_where_somebody_listens() -> None:
    script = "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done"
    with subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        processes.send(ProcessId.of(child.pid), signal.SIGTERM)
        assert child.wait(60) == 7


def test_end_does_not_wait_for_one_that_does_not_listen() -> None:
    pid = os.posix_spawn("/bin/sleep", ["sleep", "600"], {})
    began = time.monotonic()
    processes.end(ProcessId.of(pid), grace_seconds=300.0)
    assert time.monotonic() - began < 60
