"""Stopped anywhere, `make up` goes on from there, and `make destroy` leaves nothing."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.faults.account import wait_until
from tests.integration.faults.bench import Bench, end, refusal, stop_when

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def fresh(bench: Bench) -> Iterator[Bench]:
    """An emulator that runs and a stack that has nothing."""
    bench.checkout.made("preview")
    bench.account.forget_requests()
    yield bench
    if bench.account.holds():
        bench.checkout.made("destroy")


def test_interrupted_anywhere_up_converges_and_destroy_leaves_nothing(fresh: Bench) -> None:
    interrupt_the_preview(fresh)
    interrupt_the_creation_of_the_pod(fresh)
    kill_the_installation(fresh)
    a_lock_of_somebody_else_stays(fresh)
    up = fresh.checkout.made("up")
    assert "removed the lock of a run that was killed" in up.text
    assert fresh.state().get("pending_operations", []) == []
    assert sorted(entry["type"] for entry in fresh.billed()) == ["pod", "volume"]
    assert (fresh.account.made("pods"), fresh.account.made("network-volumes")) == (1, 1)
    fresh.checkout.made("destroy")
    assert fresh.billed() == []
    assert fresh.checkout.run("git", "status", "--short").out == ""


def interrupt_the_preview(bench: Bench) -> None:
    stopped = stop_when(bench, "previewing", signal.SIGINT)
    assert stopped.code != 0
    assert "make up" in stopped.text
    assert bench.billed() == []


def interrupt_the_creation_of_the_pod(bench: Bench) -> None:
    """Ctrl-C while RunPod has made the pod and has not answered yet."""
    rule = {"method": "POST", "path": "^/v2/pods$", "do": {"stall_after_seconds": 5}, "times": 1}
    bench.account.tell("faults", [rule])
    process = bench.checkout.start("make", "up")
    wait_until(lambda: bool(bench.account.pods()), "a pod of the interrupted run", 120)
    stopped = end(process, signal.SIGINT)
    assert stopped.code != 0
    assert "make destroy" in stopped.text
    assert sorted(entry["type"] for entry in bench.billed()) == ["pod", "volume"]


def kill_the_installation(bench: Bench) -> None:
    """The power goes: make, the engine and its plugins end at once, and nobody takes the lock away."""
    stop_when(bench, "comfyui: running", signal.SIGKILL)
    assert len(list(locks(bench).glob("*.json"))) == 1
    assert sorted(entry["type"] for entry in bench.billed()) == ["pod", "volume"]


def a_lock_of_somebody_else_stays(bench: Bench) -> None:
    """Another machine's lock tells of a run that may well be alive: it is not ours to break."""
    (own,) = locks(bench).glob("*.json")
    kept = own.read_text()
    other = own.with_name("another.json")
    other.write_text(json.dumps(json.loads(kept) | {"hostname": "another-machine"}))
    said = refusal(bench.checkout.make("up"))
    assert "locked" in said
    assert "another-machine" in said
    assert other.exists()
    other.unlink()
    own.write_text(kept)


def locks(bench: Bench) -> Path:
    return bench.checkout.path / ".state/pulumi/.pulumi/locks/organization/comfyui-runpod/local"
