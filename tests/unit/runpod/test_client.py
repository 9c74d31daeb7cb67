from __future__ import annotations

import re
import socket

import pytest

from components.runpod import api as errors
from components.runpod.api.client import Client
from components.runpod.api.transport import USER_AGENT, Pace
from tests.unit.runpod.clock import FakeClock
from tests.unit.runpod.conftest import KEY
from tests.unit.runpod.fake_api import FakeApi, Reply, pod, problem

CAPACITY = "There are no longer any instances available with the requested specifications."


def test_every_call_carries_key_and_own_user_agent(api: FakeApi, client: Client) -> None:
    api.answer(Reply(body={"pods": [pod()]}))
    assert [entry.id for entry in client.list_pods()] == ["pod1"]
    assert api.requests[0].headers["Authorization"] == f"Bearer {KEY}"
    assert api.requests[0].headers["User-Agent"] == USER_AGENT


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.BadRequestError),
        (401, errors.UnauthorizedError),
        (402, errors.PaymentRequiredError),
        (403, errors.AccessDeniedError),
        (404, errors.NotFoundError),
        (409, errors.ConflictError),
        (422, errors.ValidationFailedError),
    ],
)
def test_refusals_are_told_apart_and_never_repeated(
    api: FakeApi, client: Client, status: int, kind: type[Exception]
) -> None:
    api.answer(problem(status, CAPACITY, errors=["$.name: wrong"]))
    with pytest.raises(kind, match=r"POST /v2/pods: There are no longer .*\$\.name: wrong") as caught:
        client.create_pod({"name": "x"})
    assert len(api.requests) == 1
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_read_survives_two_transient_faults(api: FakeApi, client: Client, clock: FakeClock, status: int) -> None:
    api.answer(problem(status, "later"), problem(status, "later"), Reply(body=pod()))
    assert client.get_pod("pod1").id == "pod1"
    assert len(clock.slept) == 2


def test_a_read_survives_html_and_a_reset(api: FakeApi, client: Client) -> None:
    api.answer(Reply(body="<html>"), Reply(reset=True), Reply(body=pod()))
    assert client.get_pod("pod1").id == "pod1"


def test_calls_are_bounded(api: FakeApi, client: Client) -> None:
    api.answer(*[problem(503, "down")] * 6)
    with pytest.raises(errors.ServerError, match="down"):
        client.list_pods()
    assert len(api.requests) == 6


@pytest.mark.parametrize("reply", [problem(500, "oops"), Reply(503, "<html>"), Reply(reset=True), Reply(201, "<html>")])
def test_a_create_whose_answer_is_lost_is_never_repeated_blindly(api: FakeApi, client: Client, reply: Reply) -> None:
    api.answer(reply)
    with pytest.raises(errors.LostAnswerError):
        client.create_pod({"name": "x"})
    assert len(api.requests) == 1


def test_a_create_refused_for_its_rate_is_repeated(api: FakeApi, client: Client, clock: FakeClock) -> None:
    limited = problem(429, "rate limit exceeded")
    api.answer(Reply(429, limited.body, {"Retry-After": "7"}), Reply(201, pod()))
    assert client.create_pod({"name": "x"}).id == "pod1"
    assert clock.slept[0] >= 7


def test_a_used_up_window_is_waited_for_before_the_limit_is_hit(api: FakeApi, client: Client, clock: FakeClock) -> None:
    api.answer(Reply(body=pod(), headers={"RateLimit": '"minute";r=0;t=12, "hour";r=90;t=600'}), Reply(body=pod()))
    client.get_pod("pod1")
    client.get_pod("pod1")
    assert clock.slept == [12.0]


def test_a_foreign_404_is_not_an_unknown_id(api: FakeApi, client: Client) -> None:
    api.answer(Reply(404, "404 page not found"))
    with pytest.raises(errors.NotRunPodError, match=r"check runpod:apiUrl"):
        client.get_pod("pod1")


def test_the_firewall_is_told_from_a_missing_permission(api: FakeApi, client: Client) -> None:
    api.answer(Reply(403, "error code: 1010"))
    with pytest.raises(errors.BlockedError):
        client.list_pods()


def test_nothing_listening_means_nothing_happened(clock: FakeClock) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        client = Client(KEY, url, Pace(sleep=clock.sleep, clock=clock.time))
        with pytest.raises(errors.UnreachableError, match="nothing answers at"):
            client.create_pod({"name": "x"})
    client.close()


def test_an_answer_of_another_form_is_refused_without_its_content(api: FakeApi, client: Client) -> None:
    api.answer(Reply(body={"id": "pod1", "env": {"KEY": "canary"}}))
    with pytest.raises(errors.NotRunPodError, match="unexpected form at name") as caught:
        client.get_pod("pod1")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"id": "../../v2/keys"}, "id"),
        ({"id": "a.evil.test/#"}, "id"),
        ({"ssh": {"direct": {"host": "1.2.3.4\n[x]:1 ssh-ed25519 AAAA", "port": 1}}}, "ssh.direct.host"),
        ({"ssh": {"direct": {"host": "-oProxyCommand=x", "port": 1}}}, "ssh.direct.host"),
        ({"ssh": {"direct": {"host": "$(x)", "port": 1}}}, "ssh.direct.host"),
        ({"ssh": {"direct": {"host": "1.2.3.4", "port": 70000}}}, "ssh.direct.port"),
        ({"runtime": {"ports": [{"private": 1, "public": -1, "type": "http"}]}}, "runtime.ports.0.public"),
    ],
)
def test_nothing_that_could_change_an_address_or_a_command_is_taken_from_an_answer(
    api: FakeApi, client: Client, changes: dict[str, object], where: str
) -> None:
    api.answer(Reply(body=pod(**changes)))
    with pytest.raises(errors.NotRunPodError, match=rf"unexpected form at {re.escape(where)}\. "):
        client.get_pod("pod1")


@pytest.mark.parametrize("host", ["194.26.196.6", "ssh.runpod.io", "2001:db8::1"])
def test_hosts_are_names_and_addresses(api: FakeApi, client: Client, host: str) -> None:
    api.answer(Reply(body=pod(ssh={"direct": {"host": host, "port": 22}})))
    direct = client.get_pod("pod1").ssh.direct
    assert direct is not None
    assert direct.host == host


def test_no_call_goes_out_once_the_engine_is_gone(api: FakeApi, clock: FakeClock) -> None:
    def refuse() -> None:
        raise errors.StoppedError("gone")

    client = Client(KEY, api.url, Pace(sleep=clock.sleep, clock=clock.time, before_send=refuse))
    with pytest.raises(errors.StoppedError):
        client.list_pods()
    assert not api.requests
