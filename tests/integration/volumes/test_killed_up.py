"""`make up` killed at random moments, on volumes as RunPod's are: the next one brings everything back."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress

import pytest

from tests.e2e.checkout import Result
from tests.integration.faults.account import wait_until
from tests.integration.faults.bench import Bench, descendants
from tests.integration.volumes.load import Gateway, Promises, look, submit, upload

pytestmark = [pytest.mark.root, pytest.mark.timeout(7200)]

SEED = 20261201
PROCESSES = {"tree": "", "engine": "bin/pulumi up", "push": "provisioning.push"}
"""Processes of `make up` that are killed, by a part of their command line; empty: all of them."""
POD_FAULTS = ("crash", "stop", "lose")
"""What happens to the pod instead while `make up` works on it."""
VICTIMS = (*PROCESSES, *POD_FAULTS)
LONGEST_SECONDS = 30.0
"""The latest moment of a kill; a whole `up` of a lost pod takes as long on an idle machine of two cores."""
BACK_SECONDS = 240.0
"""How long the `up` after a kill may take on a machine that does much else."""


@pytest.mark.slow
def test_an_up_that_is_killed_is_made_good_by_the_next(bench: Bench, modes: str) -> None:
    kill_rounds(bench, ("tree", "push", "lose"), seed=f"{SEED} {modes}")


@pytest.mark.nightly
def test_thirty_ups_that_are_killed(bench: Bench, modes: str) -> None:
    chance = random.Random(f"{SEED} nightly {modes}")
    kill_rounds(bench, [chance.choice(VICTIMS) for _ in range(30)], seed=f"{SEED} nightly {modes}")


def kill_rounds(bench: Bench, victims: Sequence[str], *, seed: str) -> None:
    """Have one environment lose its pod, kill the `up` that replaces it, and look at what the next one leaves."""
    chance, promises = random.Random(seed), Promises()
    bench.checkout.made("up")
    for number, victim in enumerate(victims):
        _promise(bench, promises, chance)
        _lose_pod(bench)
        moment = chance.uniform(0, LONGEST_SECONDS)
        hit = _killed(bench, victim, moment)
        began = time.monotonic()
        bench.checkout.made("up")
        took = time.monotonic() - began
        print(f"round {number}: {victim} at {moment:.0f} s, {'hit' if hit else 'too late'}; back in {took:.0f} s")
        assert took < BACK_SECONDS
        _one_pod_and_one_volume(bench)
        kept = look(_gateway(bench), promises)
        assert kept.lost == []
        assert all("upstream_lost" in reason for reason in kept.ended_otherwise.values()), kept.ended_otherwise
    bench.checkout.made("destroy")
    assert bench.account.holds() == []


def _gateway(bench: Bench) -> Gateway:
    gateway = Gateway(bench.checkout.json("output")["gatewayUrl"], bench.checkout.made("-s", "key").out.strip())
    wait_until(gateway.ready, "a gateway that takes jobs")
    return gateway


def _promise(bench: Bench, promises: Promises, chance: random.Random) -> None:
    """Have one more job and one more upload answered with success."""
    gateway, jobs, uploads = _gateway(bench), len(promises.jobs), len(promises.uploads)
    submit(gateway, promises, chance)
    upload(gateway, promises, chance)
    assert (len(promises.jobs), len(promises.uploads)) == (jobs + 1, uploads + 1)


def _lose_pod(bench: Bench) -> None:
    (pod,) = bench.account.pods()
    bench.account.tell(f"pods/{pod['id']}", {"do": "lose"})


def _killed(bench: Bench, victim: str, moment: float) -> bool:
    """Run `make up` and kill the victim at a moment; return whether that `up` failed."""
    process = bench.checkout.start("make", "up")
    deadline = time.monotonic() + moment
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
    if victim in PROCESSES:
        _kill(process, PROCESSES[victim])
    else:
        for pod in bench.account.pods():
            bench.account.tell(f"pods/{pod['id']}", {"do": victim})
    out, err = process.communicate(timeout=600)
    return Result(process.returncode, out, err).code != 0


def _kill(process: subprocess.Popen[str], command: str) -> None:
    """Send SIGKILL to the processes of `make up` whose command line holds a text, or to all where there is none."""
    for pid in descendants(process.pid):
        with suppress(ProcessLookupError, FileNotFoundError):
            if command in _command_line(pid):
                os.kill(pid, signal.SIGKILL)


def _command_line(pid: int) -> str:
    with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123 - procfs
        return file.read().replace(b"\0", b" ").decode(errors="replace")


def _one_pod_and_one_volume(bench: Bench) -> None:
    held = bench.account.ask("pods")
    assert [len(held[kind]) for kind in ("pods", "volumes")] == [1, 1], held
    known = {each.get("id") for each in bench.state()["resources"]}
    assert set(bench.account.holds()) <= known
