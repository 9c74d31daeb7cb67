"""Every call type x every transient fault, once and twice: it survives or fails with the right class, in few calls."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from components.runpod.api import errors
from components.runpod.api.client import Client
from components.runpod.api.transport import ClientHooks
from components.runpod.plugin.base.resource import CancelToken
from tests.emulator.error_forms import FORMS
from tests.integration.proof.declared import KEY
from tests.integration.proof.runpod import RunPod, in_thread
from tests.unit.emulator.harness import NOON

pytestmark = pytest.mark.slow

POD = {"name": "p", "image": "i", "gpu": {"id": "NVIDIA RTX A5000", "count": 1}, "cloud": "SECURE", "disk": 30}
VOLUME = {"name": "v", "size": 20, "dataCenter": "EU-RO-1"}
REGISTRY = {"name": "r", "username": "u", "password": "p"}
Do = Callable[[Client, str, str], object]
"""What is called, with the id of a pod and of a volume."""

READS: dict[str, Do] = {
    "list pods": lambda client, _pod, _volume: client.list_pods(),
    "get pod": lambda client, pod, _volume: client.get_pod(pod),
    "list volumes": lambda client, _pod, _volume: client.list_network_volumes(),
    "get volume": lambda client, _pod, volume: client.get_network_volume(volume),
    "gpu types": lambda client, _pod, _volume: client.list_gpu_types(),
    "data centers": lambda client, _pod, _volume: client.list_data_centers(),
    "bill of a pod": lambda client, pod, _volume: client.bill_of_pod(pod, "2026-06-01T00:00:00Z"),
    "bill of a volume": lambda client, _pod, volume: client.bill_of_network_volume(volume, "2026-06-01T00:00:00Z"),
}
READS |= {
    "list templates": lambda client, _pod, _volume: client.templates.all(),
    "list registries": lambda client, _pod, _volume: client.registries.all(),
    "list endpoints": lambda client, _pod, _volume: client.endpoints.all(),
    "list ssh keys": lambda client, _pod, _volume: client.list_ssh_keys(),
    "cpu types": lambda client, _pod, _volume: client.list_cpu_types(),
    "bill": lambda client, _pod, _volume: client.bill(),
}
CHANGES: dict[str, Do] = {
    "patch pod": lambda client, pod, _volume: client.update_pod(pod, {"name": "other"}),
    "stop pod": lambda client, pod, _volume: client.act_on_pod(pod, "stop"),
    "delete pod": lambda client, pod, _volume: client.delete_pod(pod),
    "patch volume": lambda client, _pod, volume: client.network_volumes.update(volume, {"size": 30}),
    "delete volume": lambda client, _pod, volume: client.delete_network_volume(volume),
}
CREATES: dict[str, Do] = {
    # It replaces everybody's keys, so after a lost answer the list has to be read again first.
    "replace ssh keys": lambda client, _pod, _volume: client.replace_ssh_keys(["ssh-ed25519 AAAA someone"]),
    "create template": lambda client, _pod, _volume: client.templates.create({"name": "t", "image": "i"}),
    "create registry": lambda client, _pod, _volume: client.registries.create(REGISTRY),
    "create pod": lambda client, _pod, _volume: client.create_pod(POD),
    "create volume": lambda client, _pod, _volume: client.network_volumes.create(VOLUME),
}
ALL = READS | CHANGES | CREATES
HTML = "<html><h1>not found</h1></html>"
TRANSIENT: dict[str, dict[str, Any]] = {
    "429": {"status": 429, "headers": {"Retry-After": "2"}},
    "500": {"status": 500},
    "502": {"status": 502, "body": HTML},
    "503": {"status": 503},
    "504": {"status": 504},
    **{str(status): {"status": status} for status in (408, 520, 522, 524, 530)},
    "reset": {"reset_before": True},
    "html": {"status": 200, "body": HTML},
}
FINAL: dict[str, tuple[dict[str, Any], type[errors.CallError]]] = {
    "400": ({"status": 400}, errors.BadRequestError),
    **{f"400 as {form}": ({"status": 400, "form": form}, errors.BadRequestError) for form in FORMS},
    "404 as error": ({"status": 404, "form": "error"}, errors.NotFoundError),
    "404 as text": ({"status": 404, "form": "text"}, errors.NotRunPodError),
    "401": ({"status": 401}, errors.UnauthorizedError),
    "402": ({"status": 402}, errors.PaymentRequiredError),
    "403": ({"status": 403}, errors.AccessDeniedError),
    "1010": ({"status": 403, "body": HTML}, errors.BlockedError),
    "404": ({"status": 404}, errors.NotFoundError),
    "404 page": ({"status": 404, "body": HTML}, errors.NotRunPodError),
    "409": ({"status": 409}, errors.ConflictError),
    "422": ({"status": 422}, errors.ValidationFailedError),
}
FOREVER: dict[str, type[errors.CallError]] = {
    "429": errors.RateLimitedError,
    "500": errors.ServerError,
    "502": errors.ServerError,
    "503": errors.ServerError,
    "504": errors.ServerError,
    **dict.fromkeys(("408", "520", "522", "524", "530"), errors.ServerError),
    "reset": errors.LostAnswerError,
    "html": errors.NotRunPodError,
}


REPEATED_ONCE = ("list pods", "get pod", "list volumes", "get volume", "gpu types", "data centers", "patch pod")
ROUTES = (
    *(("GET", "^/v2/pods$"), ("GET", "^/v2/pods/"), ("GET", "^/v2/network-volumes$"), ("GET", "^/v2/network-volumes/")),
    *(("GET", "/gpus$"), ("GET", "/datacenters$"), ("PATCH", "^/v2/pods/")),
)
STALL_SECONDS = 5.0


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunPod]:
    with in_thread(tmp_path_factory.mktemp("runpod"), base=lambda: NOON) as running:
        yield running


@pytest.fixture
def things(runpod: RunPod) -> tuple[str, str]:
    """A pod that runs, and a volume nobody has."""
    client = Client(KEY, runpod.url)
    pod, volume = client.create_pod(POD).id, client.network_volumes.create(VOLUME).id
    client.close()
    runpod.pass_time(1)
    runpod.pass_time(1)
    runpod.forget_requests()
    return pod, volume


@pytest.fixture
def client(runpod: RunPod) -> Iterator[Client]:
    made = Client(KEY, runpod.url, ClientHooks(sleep=runpod.pass_time, clock=runpod.emu.clock.now))
    yield made
    made.close()


class _ShowsKeyError(Exception):
    """No expected outcome."""


def outcome(runpod: RunPod, client: Client, things: tuple[str, str], what: str) -> tuple[type | None, int]:
    """Return the class a call failed with, None when it did not, and how many requests it made."""
    runpod.forget_requests()
    failed: type | None = None
    try:
        ALL[what](client, *things)
    except errors.CallError as error:
        failed = _ShowsKeyError if KEY in str(error) else type(error)
    return failed, len(runpod.requests())


@pytest.mark.parametrize("what", READS | CHANGES)
def test_what_may_be_repeated_survives_every_fault_once_and_twice(
    runpod: RunPod, client: Client, things: tuple[str, str], what: str
) -> None:
    for fault, times in itertools.product(TRANSIENT, (1, 2)):
        # Without the effect of the first try a second one meets what the first would have met.
        runpod.faults({"times": times, "do": TRANSIENT[fault]}, {"method": "DELETE", "do": {"status": 204}})
        assert outcome(runpod, client, things, what) in {
            (None, times + 1),
            # A pod that is stopped already cannot be stopped again.
            *([(errors.ConflictError, times + 1)] if what == "stop pod" else []),
        }, (fault, times)


@pytest.mark.parametrize("what", CREATES)
def test_a_creation_is_repeated_only_when_it_certainly_made_nothing(
    runpod: RunPod, client: Client, things: tuple[str, str], what: str
) -> None:
    for fault, do in TRANSIENT.items():
        runpod.faults({"times": 1, "do": do})
        expected = (None, 2) if fault == "429" else (errors.LostAnswerError, 1)
        assert outcome(runpod, client, things, what) == expected, fault


@pytest.mark.parametrize("what", READS | CHANGES)
def test_what_does_not_end_fails_with_its_class_after_a_bounded_number_of_calls(
    runpod: RunPod, client: Client, things: tuple[str, str], what: str
) -> None:
    for fault, do in TRANSIENT.items():
        runpod.faults({"do": do})
        assert outcome(runpod, client, things, what) == (FOREVER[fault], 6), fault


@pytest.mark.parametrize("what", ALL)
def test_a_refusal_is_never_repeated(runpod: RunPod, client: Client, things: tuple[str, str], what: str) -> None:
    for name, (do, kind) in FINAL.items():
        runpod.faults({"do": do})
        assert outcome(runpod, client, things, what) == (kind, 1), name


def test_a_stalled_answer_is_given_up_and_asked_for_again(runpod: RunPod, things: tuple[str, str]) -> None:
    """All calls at once: each waits for its own bound, which is a minute outside of tests."""
    stalls = [{"method": method, "path": path, "times": 1, "do": {"stall_seconds": 9e9}} for method, path in ROUTES]
    runpod.faults(*stalls)
    with ThreadPoolExecutor(len(REPEATED_ONCE)) as threads:
        list(threads.map(lambda what: stalled(runpod, things, what), REPEATED_ONCE))
    assert runpod.acted() == len(ROUTES)
    runpod.faults({"method": "POST", "path": "^/v2/pods$", "times": 1, "do": {"stall_seconds": 9e9}})
    with pytest.raises(errors.LostAnswerError):
        stalled(runpod, things, "create pod")


def stalled(runpod: RunPod, things: tuple[str, str], what: str) -> None:
    client = Client(KEY, runpod.url, ClientHooks(answer_seconds=STALL_SECONDS))
    try:
        ALL[what](client, *things)
    finally:
        client.close()


def test_ctrl_c_ends_the_longest_wait_at_once(runpod: RunPod) -> None:
    stop = CancelToken()
    client = Client(
        KEY, runpod.url, ClientHooks(sleep=stop.sleep, before_send=stop.check, waiting=lambda _why: stop.request())
    )
    runpod.faults({"do": {"status": 429, "headers": {"Retry-After": "90"}}})
    began = time.monotonic()
    with pytest.raises(errors.StoppedError):
        client.list_pods()
    assert time.monotonic() - began < 30
    assert len(runpod.requests()) == 1
    client.close()
