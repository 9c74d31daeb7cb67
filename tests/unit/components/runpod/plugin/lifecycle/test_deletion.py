from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from components.runpod.api.client import Client
from components.runpod.api.errors import NotRunPodError
from components.runpod.intents import Intents
from components.runpod.marker import Marker, new_marker
from components.runpod.plugin.base.resource import ProviderOperation
from components.runpod.plugin.base.stack_file import StackFiles
from components.runpod.plugin.lifecycle import deletion, deletion_targets
from components.runpod.plugin.lifecycle.deletion import StillThereError
from components.runpod.plugin.resources.stack_guard import StackGuardHandler
from tests.unit.components.runpod.clock import FakeClock
from tests.unit.components.runpod.conftest import URN, Lines
from tests.unit.components.runpod.fake_api import FakeApi, Reply, Request, pod, problem

GONE = problem(404, "pod not found")
DELETED = Reply(204)


def pods(*entries: dict[str, object]) -> Reply:
    return Reply(body={"pods": list(entries)})


def volumes(*entries: dict[str, object]) -> Reply:
    return Reply(body={"networkVolumes": list(entries)})


NOTHING_ELSE = [Reply(body={name: []}) for name in ("endpoints", "templates", "registries", "keys")]
"""What the guard looks for beside pods and volumes."""
NO_MARK = Reply(body={"templates": []})
"""What the guard looks for last."""


def methods(api: FakeApi) -> list[str]:
    return [request.method for request in api.requests]


def test_a_pod_is_deleted_when_its_id_and_the_list_show_it(
    api: FakeApi, client: Client, operation: ProviderOperation
) -> None:
    api.answer(DELETED, Reply(body=pod()), GONE, pods())
    deletion.delete(operation, deletion_targets.pod(client, "pod1"))
    assert methods(api) == ["DELETE", "GET", "GET", "GET"]


def test_a_404_does_not_count_while_the_list_has_the_pod(
    api: FakeApi, client: Client, operation: ProviderOperation
) -> None:
    api.answer(GONE, GONE, pods(pod()), GONE, pods())
    deletion.delete(operation, deletion_targets.pod(client, "pod1"))


def test_a_404_of_another_server_is_not_a_deletion(api: FakeApi, client: Client, operation: ProviderOperation) -> None:
    api.answer(Reply(404, "404 page not found"))
    with pytest.raises(NotRunPodError):
        deletion.delete(operation, deletion_targets.pod(client, "pod1"))


def test_a_deletion_without_effect_is_detected(api: FakeApi, client: Client, operation: ProviderOperation) -> None:
    api.otherwise = lambda request: DELETED if request.method == "DELETE" else Reply(body=pod())
    with pytest.raises(StillThereError, match=r"pod pod1 still exists and is billed"):
        deletion.delete(operation, deletion_targets.pod(client, "pod1"))
    assert 7 <= methods(api).count("DELETE") <= 10
    assert len(api.requests) < 180 / 60 * 20, "twenty calls a minute leave room for others with the same key"


def test_a_volume_of_a_terminating_pod_is_retried(api: FakeApi, client: Client, operation: ProviderOperation) -> None:
    held = problem(400, "You must remove this network volume from all pods before deleting it.")
    volume = {"id": "vol1", "name": "v", "size": 20, "dataCenter": "EU-RO-1", "type": "STANDARD"}
    asked = iter([held, DELETED])

    def answer(request: Request) -> Reply:
        if request.method == "DELETE":
            return next(asked)
        if request.path.endswith("/vol1"):
            return problem(404, "resource not found") if methods(api).count("DELETE") > 1 else Reply(body=volume)
        return volumes()

    api.otherwise = answer
    deletion.delete(operation, deletion_targets.volume(client, "vol1"))
    assert methods(api).count("DELETE") == 2


def guarded(name: str = "gpu-0123456789-01234567-89abcdef", **changes: object) -> dict[str, object]:
    return pod(name=name, **changes)


def test_the_guard_deletes_resources_with_its_id_and_verifies(api: FakeApi, operation: ProviderOperation) -> None:
    stray_volume = {
        "id": "v1",
        "name": "m-0123456789-01234567-00000000",
        "size": 20,
        "dataCenter": "X",
        "type": "STANDARD",
    }
    foreign = pod(id="other", name="gpu-ffffffffff-01234567-89abcdef")
    api.answer(
        pods(guarded(), foreign), volumes(stray_volume), *NOTHING_ELSE,
        DELETED, GONE, pods(foreign),
        DELETED, problem(404, "resource not found"), volumes(),
        pods(foreign), volumes(), *NOTHING_ELSE, NO_MARK,
    )  # fmt: skip
    StackGuardHandler().delete(operation, "0123456789", {"keepVolumes": False})
    assert [r.path for r in api.requests if r.method == "DELETE"] == ["/v2/pods/pod1", "/v2/network-volumes/v1"]


def test_the_guard_keeps_volumes_when_told(api: FakeApi, operation: ProviderOperation) -> None:
    kept = {"id": "v1", "name": "m-0123456789-01234567-00000000", "size": 20, "dataCenter": "X", "type": "STANDARD"}
    api.answer(pods(), volumes(kept), *NOTHING_ELSE, NO_MARK)
    StackGuardHandler().delete(operation, "0123456789", {"keepVolumes": True})
    assert "DELETE" not in methods(api)


@pytest.mark.parametrize(
    ("section", "state", "stays"),
    [
        ("{keep: true}", {"keepVolumes": False}, True),
        ("{id: v1}", {"keepVolumes": False}, True),
        # The stack's own, for which another one was named since: the engine has left it at RunPod, and said so.
        ("{id: v9}", {"keepVolumes": False}, True),
        ('{keep: "true"}', {"keepVolumes": False}, True),
        ('{keep: "false"}', {"keepVolumes": True}, False),
        ("{keep: false}", {"keepVolumes": True}, False),
        ("{sizeGb: 20}", {"keepVolumes": True}, False),
    ],
)
def test_the_guard_keeps_volumes_as_the_stack_file_says_at_the_end(
    api: FakeApi, operation: ProviderOperation, tmp_path: Path, section: str, state: dict[str, object], stays: bool
) -> None:
    (tmp_path / "Pulumi.dev.yaml").write_text(f"config:\n  project:volume: {section}\n")
    volume = {"id": "v1", "name": "m-0123456789-01234567-00000000", "size": 20, "dataCenter": "X", "type": "STANDARD"}
    api.answer(pods(), volumes(volume), *NOTHING_ELSE)
    if not stays:
        api.answer(DELETED, problem(404, "resource not found"), volumes(), pods(), volumes(), *NOTHING_ELSE)
    api.answer(NO_MARK)
    StackGuardHandler().delete(replace(operation, stack_files=StackFiles(tmp_path)), "0123456789", state)
    assert ("DELETE" not in methods(api)) is stays


def test_the_guard_finds_a_renamed_pod_by_its_environment(api: FakeApi, operation: ProviderOperation) -> None:
    renamed = guarded(name="renamed", env={"COMFYUI_RUNPOD_MARKER": "0123456789-01234567-89abcdef"})
    api.answer(pods(renamed), volumes(), *NOTHING_ELSE, DELETED, GONE, pods(), pods(), volumes(), *NOTHING_ELSE)
    api.answer(NO_MARK)
    StackGuardHandler().delete(operation, "0123456789", {})


def test_the_guard_fails_while_something_bills(api: FakeApi, operation: ProviderOperation) -> None:
    api.answer(pods(guarded()), volumes(), *NOTHING_ELSE)
    api.otherwise = lambda request: DELETED if request.method == "DELETE" else Reply(body=guarded())
    with pytest.raises(StillThereError):
        StackGuardHandler().delete(operation, "0123456789", {})


def test_the_guard_waits_for_what_a_killed_run_may_still_make(
    api: FakeApi, operation: ProviderOperation, intents: Intents, clock: FakeClock
) -> None:
    marker = Marker("0123456789", "01234567", "89abcdef")
    intents.post(marker, URN)
    late = guarded()
    api.answer(*[Reply(body={"pods": []}), volumes(), *NOTHING_ELSE] * 5, pods(late), volumes(), *NOTHING_ELSE)
    api.answer(pods(late), volumes(), *NOTHING_ELSE, DELETED, GONE, pods(), pods(), volumes(), *NOTHING_ELSE)
    api.answer(NO_MARK)
    StackGuardHandler().delete(operation, marker.instance, {})
    assert clock.now == 1_010
    assert intents.of_instance(marker.instance) == []


def test_the_guard_waits_for_what_another_machines_killed_run_may_still_make(
    api: FakeApi, operation: ProviderOperation, clock: FakeClock
) -> None:
    marker = new_marker("0123456789", URN)
    late = guarded(name=marker.name("gpu"))
    nothing = [pods(), volumes(), *NOTHING_ELSE]
    api.answer(*nothing * 4, pods(late), volumes(), *NOTHING_ELSE)
    api.answer(pods(late), volumes(), *NOTHING_ELSE, DELETED, GONE, pods(), *nothing, NO_MARK)
    told = {URN: clock.now - 60, "urn:pulumi:dev::project::command:local:Command::install": clock.now}
    StackGuardHandler().delete(replace(operation, pending=told), marker.instance, {})
    assert [r.path for r in api.requests if r.method == "DELETE"] == ["/v2/pods/pod1"]
    assert clock.now == 1_008


def test_the_guard_deletes_recorded_resources_by_id(
    api: FakeApi, operation: ProviderOperation, intents: Intents
) -> None:
    intents.placed(intents.post(Marker("0123456789", "01234567", "89abcdef"), URN), "pod1")
    api.answer(DELETED, GONE, pods(), pods(), volumes(), *NOTHING_ELSE)
    api.answer(NO_MARK)
    StackGuardHandler().delete(operation, "0123456789", {})
    assert [request.path for request in api.requests[:2]] == ["/v2/pods/pod1"] * 2


def test_a_key_that_may_not_list_presets_does_not_block_the_guard(
    api: FakeApi, operation: ProviderOperation, lines: Lines
) -> None:
    api.answer(pods(), volumes(), *[problem(403, "access denied")] * 5)
    StackGuardHandler().delete(operation, "0123456789", {})
    assert sum("the API key may not list" in line for line in lines.shown) == 4


def test_workers_that_do_not_end_are_ended_with_their_endpoint(
    api: FakeApi, client: Client, operation: ProviderOperation, lines: Lines
) -> None:
    endpoint = {"id": "e", "name": "e", "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4}}
    working = Reply(body={"workers": [{"id": "w", "status": "RUNNING"}]})
    gone = problem(404, "endpoint not found")
    api.answer(Reply(body=endpoint))
    answers = {"GET": Reply(body={"endpoints": []}), "DELETE": DELETED}

    def answer(request: Request) -> Reply:
        if request.path.endswith("/workers"):
            return working
        return gone if request.path.endswith("/e") and request.method == "GET" else answers[request.method]

    api.otherwise = answer
    deletion.delete(operation, deletion_targets.endpoint(client, "e"))
    assert api.requests[0].body == {"workers": {"min": 0, "max": 0}}
    assert any("1 worker(s) of serverless endpoint e still run after 30" in line for line in lines.shown)
