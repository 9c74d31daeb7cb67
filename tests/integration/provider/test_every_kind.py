"""One stack with one of everything, from `up` to `destroy`, on the real engine."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from components.runpod import inventory
from components.runpod.api.client import Client
from tests.integration.provider.bench import KEY, Emulator, Stack

CANARY = "registry-canary-4711"
THEIRS = "ssh-ed25519 AAAATHEIRS somebody@else"


@pytest.fixture
def everything(stack: Stack) -> Stack:
    shutil.copy(Path(__file__).with_name("every_kind.py"), stack.folder / "__main__.py")
    stack.run("config", "set", "--secret", "password", CANARY)
    return stack


def held(runpod: Emulator) -> dict[str, int]:
    """How many of each kind exist, beside the mark by which a stack knows its account."""
    real: dict[str, list[Any]] = runpod.control("pods")
    return {kind: sum(not _is_mark(thing) for thing in things) for kind, things in real.items()}


def _is_mark(thing: object) -> bool:
    return isinstance(thing, dict) and inventory.is_account_marker(str(thing.get("name", "")))


pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_a_stack_of_every_kind_from_up_to_destroy(everything: Stack, runpod: Emulator) -> None:
    stack, client = everything, Client(KEY, runpod.url)
    client.replace_ssh_keys([THEIRS])
    stack.up()
    first = stack.outputs()
    assert (first["flavor"], first["storage"], first["seenStatus"]) == ("cpu5m", "HIGH_PERFORMANCE", "RUNNING")
    assert first["run"]["run"].endswith(f"/v2/{first['endpointId']}/run")
    assert "cpu5g" in first["flavors"]
    assert client.endpoints.get(first["endpointId"]).env == {"FROM_TEMPLATE": "1", "OWN": "1"}
    stack.run("preview", "--expect-no-changes")

    stack.config("stage", "2")
    stack.up()
    second = stack.outputs()
    same = ("podId", "endpointId", "registryId", "templateId", "volumeId", "keyId")
    assert [second[name] for name in same] == [first[name] for name in same]
    assert client.network_volumes.get(first["volumeId"]).size == 30
    assert client.endpoints.get(first["endpointId"]).workers.max == 3
    assert client.endpoints.get(first["endpointId"]).env == {"FROM_TEMPLATE": "1", "OWN": "2"}

    stack.run("config", "set", "--secret", "password", f"{CANARY}-2")
    stack.config("type", "LOAD_BALANCER")
    stack.up()
    third = stack.outputs()
    assert third["registryId"] != first["registryId"]
    assert third["endpointId"] != first["endpointId"]
    assert third["podId"] == first["podId"]
    counts = {"pods": 1, "volumes": 1, "endpoints": 1, "templates": 1, "registries": 1, "sshKeys": 2}
    assert held(runpod) == counts

    runpod.control(f"endpoints/{third['endpointId']}", {"do": "work", "workers": 2})
    stack.destroy()
    assert held(runpod) == dict.fromkeys(counts, 0) | {"sshKeys": 1}
    assert client.list_ssh_keys() == [THEIRS]
    assert CANARY.encode() not in stack.everything_on_disk()
    client.replace_ssh_keys([])
    client.close()


def test_drift_of_every_kind_is_repaired_and_what_the_state_has_lost_ends_with_it(
    everything: Stack, runpod: Emulator
) -> None:
    stack, client = everything, Client(KEY, runpod.url)
    stack.up()
    made = stack.outputs()
    client.templates.update(made["templateId"], {"image": "drifted"})
    client.endpoints.update(made["endpointId"], {"workers": {"min": 0, "max": 9}})
    client.replace_ssh_keys([THEIRS])
    shown = stack.run("refresh", "--yes", "--skip-preview")
    assert "[diff: ~imageName]" in shown
    assert "~workersMax,workersMin" in shown
    assert "1 deleted" in shown
    stack.up()
    assert client.templates.get(made["templateId"]).image == "image:1"
    assert client.endpoints.get(made["endpointId"]).workers.max == 2
    assert [key == THEIRS for key in client.list_ssh_keys()] == [True, False]

    for kind, name in (("Endpoint", "endpoint"), ("Template", "template"), ("AccountSshKey", "account-key")):
        urn = f"urn:pulumi:test::provider-test::runpod:index:{kind}::{name}"
        stack.run("state", "delete", "--yes", urn)
    output = stack.destroy()
    assert output.count("is a leftover") >= 3
    assert client.list_ssh_keys() == [THEIRS]
    client.replace_ssh_keys([])
    assert set(held(runpod).values()) == {0}, output
    client.close()
