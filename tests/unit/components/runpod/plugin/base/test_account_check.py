"""A key of another account is noticed before the state forgets what bills; a rotated key goes on working."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from components.runpod import inventory
from components.runpod.api.client import Client
from components.runpod.api.transport import ClientHooks
from components.runpod.plugin.base.account_check import AccountCheck, OtherAccountError
from components.runpod.plugin.base.property_codec import Values
from components.runpod.plugin.base.resource import ProviderOperation
from components.runpod.plugin.resources.stack_guard import StackGuardHandler
from tests.unit.components.runpod.clock import FakeClock
from tests.unit.components.runpod.cloud import Begin, begin, checked, cloud
from tests.unit.components.runpod.emulated import RunPod
from tests.unit.components.runpod.every_kind import CASES, GUARD, Case

__all__ = ["begin", "cloud"]
"""Fixtures."""

OTHER_KEY = "rpa_another_account"
OtherRun = Callable[..., ProviderOperation]
"""Begins an operation of a process that knows nothing yet, with this key."""


@pytest.fixture
def run(cloud: RunPod, begin: Begin, clock: FakeClock) -> Iterator[OtherRun]:
    clients: list[Client] = []

    def start(case: Case, key: str = "rpa_canary", *, believes: bool = False) -> ProviderOperation:
        client = Client(key, cloud.url, ClientHooks(sleep=clock.sleep, clock=clock.time))
        clients.append(client)
        return replace(begin(case), client=lambda: client, account=AccountCheck(believes=believes))

    yield start
    for client in clients:
        client.close()


def made(case: Case, run: OtherRun) -> tuple[str, Values]:
    operation = run(case)
    return case.kind.create(operation, checked(case, operation))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_with_another_accounts_key_nothing_leaves_the_state(case: Case, cloud: RunPod, run: OtherRun) -> None:
    identity, state = made(case, run)
    inputs = checked(case, run(case))
    with pytest.raises(OtherAccountError, match="The key seems to belong to another account"):
        case.kind.read(run(case, OTHER_KEY), identity, state, inputs)
    if case.token != "AccountSshKey":
        with pytest.raises(OtherAccountError):
            case.kind.delete(run(case, OTHER_KEY), identity, state)
    assert case.kind.read(run(case), identity, state, inputs) is not None


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_deleted_resource_in_the_right_account_leaves_the_state(case: Case, run: OtherRun) -> None:
    identity, state = made(case, run)
    inputs = checked(case, run(case))
    case.kind.delete(run(case), identity, state)
    assert case.kind.read(run(case), identity, state, inputs) is None
    case.kind.delete(run(case), identity, state)


def test_a_stack_without_an_account_marker_is_recognised_by_its_resources(cloud: RunPod, run: OtherRun) -> None:
    pod, volume = (next(case for case in CASES if case.name == name) for name in ("gpu-pod", "volume"))
    identity, state = made(pod, run)
    made(volume, run)
    for mark in inventory.account_markers(run(pod).client(), GUARD):
        run(pod).client().templates.delete(mark)
    run(pod).client().delete_pod(identity)
    assert pod.kind.read(run(pod), identity, state, checked(pod, run(pod))) is None


def test_the_operator_can_confirm_that_everything_is_deleted(cloud: RunPod, run: OtherRun) -> None:
    case = CASES[0]
    identity, state = made(case, run)
    for thing in (identity, *inventory.account_markers(run(case).client(), GUARD)):
        (run(case).client().delete_pod if thing == identity else run(case).client().templates.delete)(thing)
    inputs = checked(case, run(case))
    with pytest.raises(OtherAccountError, match="COMFYUI_RUNPOD_MISSING_IS_GONE=1"):
        case.kind.read(run(case), identity, state, inputs)
    assert case.kind.read(run(case, believes=True), identity, state, inputs) is None


def test_the_account_marker_is_created_once_and_deleted_with_the_stack(run: OtherRun) -> None:
    case = CASES[0]
    for _ in range(2):
        identity, state = made(case, run)
        case.kind.delete(run(case), identity, state)
    client = run(case).client()
    assert len(client.templates.all()) == len(inventory.account_markers(client, GUARD)) == 1
    assert inventory.list_resources(client, lambda _unseen: None) == []
    StackGuardHandler().delete(replace(run(case), urn="urn"), GUARD, {})
    assert client.templates.all() == []


def test_a_failed_account_marker_is_only_a_warning(cloud: RunPod, run: OtherRun) -> None:
    case = CASES[0]
    cloud.fail({"method": "POST", "path": "^/v2/templates$", "do": {"status": 422}})
    operation = run(case)
    case.kind.create(operation, checked(case, operation))
    said = getattr(operation.reporter, "shown")  # noqa: B009 - the screen of the tests
    assert any("the account marker of this stack could not be created" in line for line in said)
