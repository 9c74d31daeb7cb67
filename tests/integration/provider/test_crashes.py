"""Killed, lost and interrupted creations: never two pods, never one that nobody knows of."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.integration.provider.bench import Emulator, Stack, alive, kill_tree, plugin_of, until

pytestmark = pytest.mark.slow


def posted(runpod: Emulator, before: int) -> bool:
    return runpod.calls("POST", "/v2/pods") > before


@pytest.mark.parametrize("when", ["in flight", "waiting for ready"])
def test_a_killed_up_leaves_one_pod_after_the_next(stack: Stack, runpod: Emulator, when: str) -> None:
    if when == "in flight":
        runpod.control("faults", [{"method": "POST", "path": "^/v2/pods$", "times": 1, "do": {"stall_seconds": 2}}])
    else:
        runpod.control("conditions", {"provisioning_seconds": 6})
    before = runpod.calls("POST", "/v2/pods")
    process = stack.start("up", "--yes", "--skip-preview")
    if when == "in flight":
        until(lambda: len(list((stack.folder.parent / "state" / "intents").glob("*.json"))) == 2, "the pod's intent")
    else:
        until(lambda: posted(runpod, before), "the POST")
    kill_tree(process)
    stack.run("cancel", "--yes")
    output = stack.up()
    assert len(runpod.pods()) == 1, output
    assert runpod.pods()[0]["id"] == stack.outputs()["podId"]
    stack.run("preview", "--expect-no-changes")
    stack.destroy()
    assert runpod.billing() == 0


def test_the_plugin_does_not_outlive_its_engine(stack: Stack, runpod: Emulator) -> None:
    # Of its own accord it would wait for that pod long after we have given up waiting for its end.
    runpod.control("conditions", {"provisioning_seconds": 300})
    process = stack.start("up", "--yes", "--skip-preview")
    until(runpod.pods, "a pod")
    plugin = plugin_of(process)
    assert plugin
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: not alive(plugin), "the plugin ends")
    silent_from = len(runpod.requests())
    time.sleep(1)  # Long enough for several of the polls it would make.
    assert len(runpod.requests()) == silent_from
    process.communicate(timeout=100)


def test_ctrl_c_while_waiting_records_the_pod(stack: Stack, runpod: Emulator) -> None:
    runpod.control("conditions", {"provisioning_seconds": 20})
    process = stack.start("up", "--yes", "--skip-preview")
    until(runpod.pods, "a pod")
    os.kill(process.pid, signal.SIGINT)
    output = process.communicate(timeout=100)[0].decode()
    assert process.returncode != 0
    assert "interrupted" in output
    (pod,) = runpod.pods()
    runpod.control("conditions", {})
    stack.up()
    assert stack.outputs()["podId"] == pod["id"]
    stack.destroy()
    assert runpod.billing() == 0


@pytest.mark.parametrize(
    "fault",
    [
        {"reset_after": True},
        pytest.param({"status": 500, "effect": True}, marks=pytest.mark.nightly),
        pytest.param({"reset_before": True}, marks=pytest.mark.nightly),
    ],
)
def test_a_lost_answer_makes_one_pod(stack: Stack, runpod: Emulator, fault: dict[str, object]) -> None:
    runpod.control("faults", [{"method": "POST", "path": "^/v2/pods$", "times": 1, "do": fault}])
    stack.up()
    assert [pod["id"] for pod in runpod.pods()] == [stack.outputs()["podId"]]
    stack.destroy()
    assert runpod.billing() == 0


def test_a_targeted_replacement_ends_the_old_pod_and_never_the_new(stack: Stack, runpod: Emulator) -> None:
    stack.up()
    old = stack.outputs()["podId"]
    stack.up("--target-replace", "urn:pulumi:test::provider-test::runpod:index:Pod::pod")
    (pod,) = runpod.pods()
    assert pod["id"] == stack.outputs()["podId"] != old
    stack.destroy()
    assert runpod.billing() == 0


def test_a_destroy_ends_what_the_state_has_lost(stack: Stack, runpod: Emulator) -> None:
    stack.up()
    for kind, name in (("Pod", "pod"), ("NetworkVolume", "volume")):
        stack.run("state", "delete", "--yes", f"urn:pulumi:test::provider-test::runpod:index:{kind}::{name}")
    assert runpod.billing() == 2
    output = stack.destroy()
    assert runpod.billing() == 0, output
    assert "is a leftover and is billed" in output
