"""Each fault the emulator can show, and what the product then does; the provider is real, the engine `model`'s."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from components.runpod.api import errors
from components.runpod.api.client import Client
from components.runpod.api.transport import ClientHooks
from stacks.cli.reports import receipt
from tests.integration.proof.declared import KEY, POD, Program
from tests.integration.proof.model import Engine
from tests.integration.proof.runpod import RunPod, in_thread
from tests.unit.emulator.harness import NOON

FIRST, SECOND = Program().gpus
POSTS = ("POST", "/v2/pods")


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunPod]:
    with in_thread(tmp_path_factory.mktemp("runpod"), base=lambda: NOON) as running:
        yield running


@pytest.fixture
def engine(runpod: RunPod, tmp_path: Path) -> Iterator[Engine]:
    made = Engine(tmp_path, runpod)
    yield made
    runpod.calm()
    assert made.destroy(), made.reporter.said
    assert runpod.holds() == set()


def said(engine: Engine) -> str:
    return " ".join("\n".join(engine.reporter.said).split())


def pod_of(engine: Engine) -> str:
    (held,) = [entry.id for entry in engine.state if entry.urn == POD]
    return held


def test_the_wrong_user_agent_is_told_from_a_wrong_key(runpod: RunPod) -> None:
    client = Client(KEY, runpod.url, ClientHooks(user_agent="Python-urllib/3.12"))
    with pytest.raises(errors.BlockedError, match="firewall"):
        client.list_pods()
    client.close()


def test_a_list_that_lags_makes_no_twin(engine: Engine, runpod: RunPod) -> None:
    runpod.conditions(list_lag_seconds=20)
    runpod.faults({"method": "POST", "times": 2, "do": {"reset_after": True}})
    assert engine.up(Program()), said(engine)
    assert len(runpod.requests(*POSTS)) == 1
    assert [pod.id for pod in runpod.pods()] == [pod_of(engine)]


def test_without_stock_the_next_candidate_is_taken(engine: Engine, runpod: RunPod) -> None:
    assert engine.up(Program())
    runpod.lose(runpod.pods()[0])
    runpod.faults(
        {"path": "^/v2/pods$", "method": "POST", "times": 1, "do": {"stock": [{"gpu": FIRST, "available": 0}]}}
    )
    assert engine.up(Program(), refresh=True), said(engine)
    assert [pod.gpu for pod in runpod.pods()] == [{"id": SECOND, "count": 1}]


def test_without_any_stock_every_candidate_is_named(engine: Engine, runpod: RunPod) -> None:
    assert engine.up(Program())
    runpod.lose(runpod.pods()[0])
    runpod.faults({"path": "^/v2/pods$", "method": "POST", "times": 1, "do": {"stock": [{"available": 0}]}})
    assert not engine.up(Program(), refresh=True)
    assert FIRST in said(engine)
    assert SECOND in said(engine)
    assert runpod.pods() == []


def test_an_empty_balance_is_said_once(engine: Engine, runpod: RunPod) -> None:
    assert engine.up(Program())
    runpod.lose(runpod.pods()[0])
    runpod.faults({"path": "^/v2/pods$", "method": "POST", "times": 1, "do": {"conditions": {"balance": 0}}})
    before = len(runpod.requests(*POSTS))
    assert not engine.up(Program(), refresh=True)
    assert "add credit" in said(engine)
    assert len(runpod.requests(*POSTS)) == before + 1


def test_billing_that_lags_is_not_taken_for_nothing(engine: Engine, runpod: RunPod) -> None:
    assert engine.up(Program())
    runpod.conditions(billing_lag_seconds=7200)
    runpod.pass_time(3600)
    client = Client(KEY, runpod.url)
    guard = engine.state[0].outputs["instanceId"]
    ran = receipt.meter(client.list_pods(), client.list_network_volumes(), {}, {guard})
    now = datetime.fromtimestamp(runpod.emu.clock.now(), UTC)
    messages = "\n".join(receipt.lines(receipt.add_billed(client, ran), now))
    client.close()
    assert "not yet" in messages


def test_a_pod_that_never_gets_ready_is_in_the_state_and_named_with_its_price(engine: Engine, runpod: RunPod) -> None:
    runpod.conditions(never_ready="gpu")
    assert not engine.up(Program())
    assert f"pod {pod_of(engine)} exists and costs" in said(engine)
    assert "a running container" in said(engine)
    assert len(runpod.requests(*POSTS)) == 1


def test_a_pod_whose_host_fails_while_it_is_awaited_is_reported(engine: Engine, runpod: RunPod) -> None:
    runpod.conditions(provisioning_seconds=30)
    runpod.faults({"method": "GET", "path": "^/v2/pods/", "nth": 2, "do": {"pods": "fail-host"}})
    assert not engine.up(Program())
    assert f"pod {pod_of(engine)} is ERROR" in said(engine)


def test_a_host_failure_shows_at_refresh_and_up_starts_the_pod_again(engine: Engine, runpod: RunPod) -> None:
    assert engine.up(Program())
    before = pod_of(engine)
    runpod.stop(runpod.pods()[0], "ERROR")
    assert engine.up(Program(), refresh=True), said(engine)
    assert [(pod.id, pod.status) for pod in runpod.pods()] == [(before, "RUNNING")]


def test_a_start_without_gpus_never_passes_for_a_pod(engine: Engine, runpod: RunPod) -> None:
    assert engine.up(Program())
    runpod.conditions(zero_gpus_after_start=".")
    runpod.stop(runpod.pods()[0])
    engine.up(Program(), refresh=True)
    runpod.conditions(zero_gpus_after_start="")
    for _ in range(2):
        runpod.pass_time(60)
        engine.up(Program(), refresh=True)
    (pod,) = runpod.pods()
    assert (pod.id, pod.gpus_got) == (pod_of(engine), 1), said(engine)


def test_a_crash_loop_is_never_ready_for_long_and_is_ended_like_any_other(engine: Engine, runpod: RunPod) -> None:
    """The provider cannot know a program's own end from a crash; SSH and the gateway are asked by the next step."""
    runpod.conditions(crash_loop=".")
    engine.up(Program())
    assert [pod.id for pod in runpod.pods()] == [pod_of(engine)]


DRIFTS: dict[str, dict[str, Any]] = {
    "imageName": {"image": "other:1"},
    "env": {"env": {"X": "9"}},
    "ports": {"ports": ["8189/http", "22/tcp"]},
    "containerDiskInGb": {"disk": 11},
    "name": {"name": "renamed-by-hand"},
}


@pytest.mark.parametrize("name", [*DRIFTS, "status"])
def test_each_drift_out_of_band_shows_at_refresh_and_up_repairs_it(engine: Engine, runpod: RunPod, name: str) -> None:
    assert engine.up(Program())
    (pod,) = runpod.pods()
    change = DRIFTS.get(name, {})
    wanted = {member: getattr(pod, member) for member in change}
    runpod.drift(pod, **change) if change else runpod.stop(pod)
    before = dict(engine.state[-1].outputs)
    assert engine.refresh()
    assert {key for key in before if before[key] != engine.state[-1].outputs[key]} >= {name}
    assert engine.up(Program()), said(engine)
    (repaired,) = runpod.pods()
    assert (repaired.id, repaired.status) == (pod.id, "RUNNING")
    assert {member: getattr(repaired, member) for member in wanted} == wanted


def test_a_lost_pod_is_made_anew(engine: Engine, runpod: RunPod) -> None:
    assert engine.up(Program())
    before = pod_of(engine)
    runpod.lose(runpod.pods()[0])
    assert engine.up(replace(Program(), image="image:2"), refresh=True), said(engine)
    assert [pod.id for pod in runpod.pods()] == [pod_of(engine)] != [before]
