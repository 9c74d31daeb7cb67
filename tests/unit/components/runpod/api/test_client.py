from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import pytest

from components.runpod import api as errors
from components.runpod.api.client import Client
from components.runpod.api.transport import USER_AGENT, ClientHooks
from tests.unit.components.runpod.clock import FakeClock
from tests.unit.components.runpod.conftest import KEY
from tests.unit.components.runpod.fake_api import FakeApi, Reply, pod, problem
from tests.unit.components.runpod.untrusted import untrusted

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
def test_refusals_are_classified_and_not_retried(
    api: FakeApi, client: Client, status: int, kind: type[Exception]
) -> None:
    api.answer(problem(status, CAPACITY, errors=["$.name: wrong"]))
    with pytest.raises(kind, match=r"POST /v2/pods: There are no longer .*\$\.name: wrong") as caught:
        client.create_pod({"name": "x"})
    assert len(api.requests) == 1
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, *range(520, 528), 529, 530])
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


LOST = [problem(500, "oops"), Reply(503, "<html>"), Reply(reset=True), Reply(201, "<html>"), Reply(204)]
LOST += [Reply(status, "error code: 5xx") for status in (408, 425, *range(520, 528), 530)]
LOST += [Reply(201, {"id": "pod1"}), Reply(201, []), Reply(201, {"error": "made, but not described"})]


@pytest.mark.parametrize("reply", LOST, ids=lambda reply: f"{reply.status}-{reply.body!r:.12}")
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


def test_calls_wait_while_the_rate_limit_is_exhausted(api: FakeApi, client: Client, clock: FakeClock) -> None:
    api.answer(Reply(body=pod(), headers={"RateLimit": '"minute";r=0;t=12, "hour";r=90;t=600'}), Reply(body=pod()))
    client.get_pod("pod1")
    client.get_pod("pod1")
    assert clock.slept == [12.0]


def test_a_404_of_another_server_is_not_an_unknown_id(api: FakeApi, client: Client) -> None:
    api.answer(Reply(404, "404 page not found"))
    with pytest.raises(errors.NotRunPodError, match=r"check runpod:apiUrl"):
        client.get_pod("pod1")


def test_a_firewall_block_differs_from_a_missing_permission(api: FakeApi, client: Client) -> None:
    api.answer(Reply(403, "error code: 1010"), Reply(403, {"status": 403, "detail": "x", "cloudflare_error": True}))
    for _ in range(2):
        with pytest.raises(errors.BlockedError):
            client.list_pods()


def closed_port(family: socket.AddressFamily, host: str) -> str:
    with socket.socket(family) as unused:
        unused.bind((host, 0))
        name = f"[{host}]" if ":" in host else host
        return f"http://{name}:{unused.getsockname()[1]}"


def unreachable(url: str, clock: FakeClock) -> str:
    """Return the text with which a creation fails that never left this machine."""
    client = Client(KEY, url, ClientHooks(sleep=clock.sleep, clock=clock.time))
    with pytest.raises(errors.UnreachableError) as caught:
        client.create_pod({"name": "x"})
    client.close()
    return str(caught.value)


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_refused_connection_means_nothing_was_sent(clock: FakeClock, family: socket.AddressFamily, host: str) -> None:
    try:
        url = closed_port(family, host)
    except OSError:
        pytest.skip(f"this machine has no {host}")
    assert f"{url}: the connection failed. Nothing was sent." in unreachable(url, clock)


@pytest.mark.parametrize("code", [socket.EAI_NONAME, socket.EAI_AGAIN])
def test_an_unresolved_host_name_is_a_network_error(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def look_up(*_arguments: object, **_options: object) -> list[object]:
        raise socket.gaierror(code, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    text = unreachable("http://api.runpod.example", clock)
    assert "http://api.runpod.example: its host name cannot be resolved. Nothing was sent. Check this machine's" in text
    assert sum(clock.slept) < 30, "nothing is waited for that cannot come"


def test_a_call_is_retried_after_a_network_outage(
    api: FakeApi, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = socket.getaddrinfo, [1, 2]

    def look_up(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - the library's own form
        if failures:
            failures.pop()
            raise socket.gaierror(socket.EAI_AGAIN, "no name server")
        return real(*arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    api.answer(Reply(201, pod()))
    assert client.create_pod({"name": "x"}).id == "pod1"
    assert len(api.requests) == 1


def test_an_untrusted_certificate_is_named(clock: FakeClock, tmp_path: Path) -> None:
    with untrusted(tmp_path) as url:
        assert "its certificate is not trusted" in unreachable(url, clock)


def test_an_invalid_address_is_named(clock: FakeClock) -> None:
    assert "the request cannot be sent" in unreachable("http://a..b", clock)


FORMS = [
    ({"error": CAPACITY}, CAPACITY),
    ({"error": {"message": CAPACITY, "code": 7}}, CAPACITY),
    ({"message": CAPACITY}, CAPACITY),
    ({"status": 400, "detail": CAPACITY}, CAPACITY),
    (
        {"title": "x", "status": 400, "errors": [{"path": "$.name", "message": "too long"}]},
        "$.name: too long",
    ),
    (
        {"title": "x", "status": 400, "detail": CAPACITY, "errors": [{"loc": ["gpu", "id"], "detail": "no"}]},
        "gpu.id: no",
    ),
    ({"title": "x", "status": 400, "detail": CAPACITY, "errors": {"name": ["too long", "taken"]}}, "name: taken"),
    ({"errors": "just this"}, "just this"),
    ([CAPACITY], CAPACITY),
    ("<html><head><title>400</title></head><body><h1>No capacity</h1>left&nbsp;here</body></html>", "No capacity left"),
    ("", "an answer without a text"),
]


@pytest.mark.parametrize(("body", "text"), FORMS, ids=lambda value: str(value)[:30])
def test_a_refusal_keeps_its_text_in_every_form(api: FakeApi, client: Client, body: object, text: str) -> None:
    api.answer(Reply(400, body))
    with pytest.raises(errors.BadRequestError) as caught:
        client.create_pod({"name": "x"})
    assert text.rstrip(".") in str(caught.value)
    assert "HTTP 400" in str(caught.value)


@pytest.mark.parametrize("body", [{"error": "pod not found"}, {"status": 404, "detail": "nothing here"}])
def test_an_unknown_id_is_recognised_in_every_form(api: FakeApi, client: Client, body: object) -> None:
    api.answer(Reply(404, body))
    with pytest.raises(errors.NotFoundError):
        client.get_pod("pod1")


@pytest.mark.parametrize("body", [{"error": "not found"}, {"message": "no Route matched"}, {"detail": "Not Found"}, []])
def test_a_json_404_of_a_web_server_is_not_an_unknown_id(api: FakeApi, client: Client, body: object) -> None:
    api.answer(Reply(404, body))
    with pytest.raises(errors.NotRunPodError, match=r"check runpod:apiUrl"):
        client.get_pod("pod1")


def test_a_refusal_that_quotes_secrets_is_masked(api: FakeApi, client: Client) -> None:
    secret = "-----BEGIN KEY-----\ncanary\n"
    api.answer(Reply(422, {"status": 422, "title": "x", "detail": f"env {secret} and {KEY}", "errors": [secret]}))
    with pytest.raises(errors.ValidationFailedError, match=r"env \[secret\] and \[secret\]") as caught:
        client.create_pod({"name": "x", "env": {"HOST_KEY": secret}})
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("status", [200, 201])
def test_a_truncated_answer_is_not_quoted(api: FakeApi, client: Client, status: int) -> None:
    api.answer(*[Reply(status, '{"id": "pod1", "env": {"KEY": "canary')] * 6)
    with pytest.raises(errors.NotRunPodError) as caught:
        client.get_pod("pod1")
    assert "canary" not in str(caught.value)


def test_an_unexpected_answer_is_not_quoted(api: FakeApi, client: Client) -> None:
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
def test_ids_that_could_change_an_address_or_command_are_refused(
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


def test_no_call_is_sent_after_the_engine_ended(api: FakeApi, clock: FakeClock) -> None:
    def refuse() -> None:
        raise errors.StoppedError("gone")

    client = Client(KEY, api.url, ClientHooks(sleep=clock.sleep, clock=clock.time, before_send=refuse))
    with pytest.raises(errors.StoppedError):
        client.list_pods()
    assert not api.requests
