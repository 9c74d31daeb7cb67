"""Webhooks: what is sent, how it is signed, and that it arrives."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.webhooks.backoff import LONGEST_SECONDS, Backoff
from provisioning.gateway.webhooks.records import DeliveryState
from provisioning.gateway.webhooks.sender import AttemptResult
from tests.unit.gateway.conftest import Gate, finish, taken, until, workflow
from tests.unit.gateway.receiver import Got, Receiver, receiving
from tests.unit.gateway.webhook_requests import DELIVERIES, HOOKS, create

LOCAL = {"webhook_allow_http": True, "webhook_allow_private": True, "webhook_ports": []}


@pytest.fixture
def overrides() -> dict[str, Any]:
    return LOCAL


@pytest.fixture
def internal() -> dict[str, Any]:
    return {"webhook_poll_seconds": 0.02}


async def submit(client: httpx.AsyncClient, **more: object) -> str:
    answer = await client.post("/api/v2/jobs", json={"workflow": workflow(), **more})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def ended(gate: Gate, client: httpx.AsyncClient, **more: object) -> str:
    """Run a job to its end and return its id."""
    job = await submit(client, **more)
    await finish(gate, job)
    return job


async def deliveries(client: httpx.AsyncClient, **query: str) -> list[dict[str, Any]]:
    return list((await client.get(DELIVERIES, params=query)).json()["deliveries"])


def verified(got: Got, secret: str) -> dict[str, Any]:
    return dict(Webhook(secret).verify(got.body, got.headers))


async def test_the_end_of_a_job_is_sent_to_its_webhook_url(gate: Gate, receiver: Receiver) -> None:
    gate.clock.now = time.time()
    secret = (await gate.alice.post(f"{HOOKS}/jobs/rotate")).json()["secret"]
    job = await ended(gate, gate.alice, webhook_url=receiver.url)
    await until(lambda: receiver.got)
    told = verified(receiver.got[0], secret)
    shown = (await gate.alice.get(f"/api/v2/jobs/{job}")).json()
    assert told["type"] == "job.succeeded"
    assert {name: told["data"][name] for name in ("id", "status", "completed_at")} == {
        name: shown[name] for name in ("id", "status", "completed_at")
    }
    [output] = told["data"]["outputs"]
    assert (output["id"], output["url"].partition("/api/")[0]) == (shown["outputs"][0]["id"], "https://gateway.test")
    await ended(gate, gate.alice)
    await asyncio.sleep(0.1)
    assert len(receiver.got) == 1, "another job has no webhook_url"
    [delivery] = await deliveries(gate.alice, webhook="jobs")
    assert (delivery["state"], delivery["subject"], delivery["webhook_id"]) == ("delivered", job, "jobs")


async def test_an_endpoint_receives_its_selected_events_of_its_owner_only(gate: Gate, receiver: Receiver) -> None:
    gate.clock.now = time.time()
    made = await create(gate.alice, receiver.url, events=["job.failed", "job.canceled"])
    await ended(gate, gate.alice)
    await ended(gate, gate.bob)
    failed = await submit(gate.alice)
    await finish(gate, failed, error={"exception_message": "no", "node_id": "9", "node_type": "SaveImage"})
    cancelled = [await submit(gate.alice) for _ in range(2)][-1]
    await gate.alice.post(f"/api/v2/jobs/{cancelled}/cancel")
    await until(lambda: len(receiver.got) == 2)
    told = {
        message["type"]: message["data"]["id"] for message in (verified(got, made["secret"]) for got in receiver.got)
    }
    assert told == {"job.failed": failed, "job.canceled": cancelled}


async def test_a_finished_batch_is_sent_once(gate: Gate, receiver: Receiver) -> None:
    gate.clock.now = time.time()
    made = await create(gate.alice, receiver.url, events=["batch.finished"])
    answer = await gate.alice.post("/api/gateway/batches", json={"workflows": [workflow(), workflow()]})
    assert answer.status_code == 201, answer.text
    for job in answer.json()["jobs"]:
        assert gate.rows("SELECT 1 FROM webhook_messages") == []
        await finish(gate, job["id"])
    await until(lambda: receiver.got)
    told = verified(receiver.got[0], made["secret"])
    assert (told["type"], told["data"]["id"], told["data"]["status"]) == (
        "batch.finished", answer.json()["id"], "succeeded",
    )  # fmt: skip
    assert gate.rows("SELECT count(*) FROM webhook_messages") == [(1,)]


async def test_the_end_of_a_batch_is_sent_to_its_webhook_url(gate: Gate, receiver: Receiver) -> None:
    gate.clock.now = time.time()
    secret = (await gate.alice.post(f"{HOOKS}/jobs/rotate")).json()["secret"]
    order = {"workflows": [workflow(), workflow()], "webhook_url": receiver.url}
    batch = (await gate.alice.post("/api/gateway/batches", json=order)).json()
    await finish(gate, batch["jobs"][0]["id"])
    await gate.alice.post(f"/api/v2/jobs/{batch['jobs'][1]['id']}/cancel")
    await until(lambda: receiver.got)
    told = verified(receiver.got[0], secret)
    assert (told["type"], told["data"]["id"], told["data"]["status"]) == ("batch.finished", batch["id"], "partial")
    assert [job["status"] for job in told["data"]["jobs"]] == ["succeeded", "canceled"]
    [delivery] = await deliveries(gate.alice)
    assert (delivery["subject"], delivery["webhook_id"]) == (batch["id"], "jobs")
    assert gate.rows("SELECT * FROM webhook_targets") == [], "the stored webhook_url is deleted"


async def test_endpoints_are_created_changed_and_deleted_and_the_secret_shown_once(
    gate: Gate, receiver: Receiver
) -> None:
    made = await create(gate.alice, receiver.url, description="the bot")
    path = f"{HOOKS}/{made['id']}"
    shown = (await gate.alice.get(path)).json()
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert (await gate.alice.get(HOOKS)).json() == {"webhooks": [shown]}
    changed = await gate.alice.patch(path, json={"events": ["job.failed"], "description": "", "enabled": False})
    assert (changed.json()["events"], changed.json()["enabled"]) == (["job.failed"], False)
    assert (await gate.alice.patch(path, json={"enabled": True})).json()["enabled"] is True
    assert made["secret"] not in changed.text
    assert (await gate.alice.delete(path)).status_code == 204
    assert (await gate.alice.get(path)).status_code == 404


async def test_other_users_endpoints_and_deliveries_are_not_found(gate: Gate, receiver: Receiver) -> None:
    made = await create(gate.alice, receiver.url)
    test = (await gate.alice.post(f"{HOOKS}/{made['id']}/test")).json()
    for method, path in (
        ("GET", f"{HOOKS}/{made['id']}"), ("PATCH", f"{HOOKS}/{made['id']}"), ("DELETE", f"{HOOKS}/{made['id']}"),
        ("POST", f"{HOOKS}/{made['id']}/rotate"), ("POST", f"{HOOKS}/{made['id']}/test"),
        ("GET", f"{DELIVERIES}/{test['id']}"), ("POST", f"{DELIVERIES}/{test['id']}/redeliver"),
    ):  # fmt: skip
        answer = await gate.bob.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
    assert (await gate.bob.get(HOOKS)).json() == {"webhooks": []}
    assert await deliveries(gate.bob) == []
    assert len(await deliveries(gate.bob, webhook=made["id"])) == 0
    assert [hook["id"] for hook in (await gate.admin.get(HOOKS)).json()["webhooks"]] == [made["id"]]


async def test_both_secrets_sign_during_the_overlap_of_a_rotation(gate: Gate, receiver: Receiver) -> None:
    gate.clock.now = time.time() - 3 * 3600
    made = await create(gate.alice, receiver.url)
    path = f"{HOOKS}/{made['id']}"
    new = (await gate.alice.post(f"{path}/rotate", json={"overlap_hours": 1})).json()
    assert (new["signatures"], new["secret"] != made["secret"]) == (2, True)
    await gate.alice.post(f"{path}/test")
    await until(lambda: receiver.got)
    assert len(receiver.got[0].headers["webhook-signature"].split(" ")) == 2
    gate.clock.now = time.time()
    await gate.alice.post(f"{path}/test")
    await until(lambda: len(receiver.got) == 2)
    assert verified(receiver.got[1], new["secret"])["type"] == "webhook.test"
    with pytest.raises(WebhookVerificationError):
        verified(receiver.got[1], made["secret"])


async def test_two_signatures_verify_with_either_secret(gate: Gate, receiver: Receiver) -> None:
    gate.clock.now = time.time()
    made = await create(gate.alice, receiver.url)
    new = (await gate.alice.post(f"{HOOKS}/{made['id']}/rotate")).json()
    await gate.alice.post(f"{HOOKS}/{made['id']}/test")
    await until(lambda: receiver.got)
    assert verified(receiver.got[0], made["secret"]) == verified(receiver.got[0], new["secret"])


async def test_a_failed_delivery_is_retried_unchanged_and_attempts_are_logged(gate: Gate, receiver: Receiver) -> None:
    await create(gate.alice, receiver.url)
    receiver.status = 500
    await ended(gate, gate.alice)
    await until(lambda: _tries(gate, 1))
    receiver.status, receiver.headers = 503, {"Retry-After": "600"}
    gate.clock.advance(15)
    await until(lambda: _tries(gate, 2))
    receiver.status, receiver.headers = 204, {}
    gate.clock.advance(590)
    await asyncio.sleep(0.2)
    assert len(receiver.got) == 2, "Retry-After is obeyed"
    gate.clock.advance(20)
    await until(lambda: _tries(gate, 3))
    [delivery] = await deliveries(gate.alice)
    shown = (await gate.alice.get(f"{DELIVERIES}/{delivery['id']}")).json()
    assert [attempt["status"] for attempt in shown["attempts"]] == [500, 503, 204]
    assert (shown["state"], shown["next_attempt_at"]) == ("delivered", None)
    assert len({(got.headers["webhook-id"], got.body) for got in receiver.got}) == 1
    assert len({got.headers["webhook-timestamp"] for got in receiver.got}) == 3
    again = await gate.alice.post(f"{DELIVERIES}/{delivery['id']}/redeliver")
    assert (again.status_code, again.json()["message_id"]) == (202, delivery["message_id"])
    await until(lambda: len(receiver.got) == 4)
    assert receiver.got[3].body == receiver.got[0].body
    assert receiver.got[3].headers["webhook-id"] == delivery["message_id"]


async def _tries(gate: Gate, count: int) -> bool:
    return gate.rows("SELECT attempts FROM webhook_deliveries") == [(count,)]


@pytest.mark.parametrize(
    ("manner", "status", "headers", "state", "error"),
    [
        ("plain", 302, {"Location": "/elsewhere"}, "pending", "a redirect (302), which is not followed"),
        ("plain", 307, {"Location": "http://169.254.169.254/"}, "pending", "a redirect (307), which is not followed"),
        ("plain", 404, {}, "pending", "answered 404"),
        ("plain", 200, {"X": "y" * 10_000}, "pending", "the connection broke or the response was not valid HTTP"),
        ("slow", 200, {}, "delivered", None),
        ("huge", 200, {}, "delivered", None),
    ],
)
async def test_invalid_responses_of_receivers_are_failures(
    gate: Gate, receiver: Receiver, manner: str, status: int, headers: dict[str, str], state: str, error: str | None
) -> None:
    receiver.manner, receiver.status, receiver.headers = manner, status, headers
    assert await _first_attempt(gate, receiver) == (state, error)


@pytest.mark.parametrize("overrides", [LOCAL | {"webhook_timeout_seconds": 1.5}])
async def test_a_receiver_without_response_times_out(gate: Gate, receiver: Receiver) -> None:
    receiver.manner = "silent"
    assert await _first_attempt(gate, receiver) == ("pending", "no response in time")


async def _first_attempt(gate: Gate, receiver: Receiver) -> tuple[str, str | None]:
    """Send one message; returns its result and fault."""
    made = await create(gate.alice, receiver.url)
    test = (await gate.alice.post(f"{HOOKS}/{made['id']}/test")).json()
    await until(lambda: gate.rows("SELECT 1 FROM webhook_attempts"))
    shown = (await gate.alice.get(f"{DELIVERIES}/{test['id']}")).json()
    assert len(receiver.got) == 1
    return shown["state"], shown["attempts"][0]["error"]


async def test_an_unreachable_receiver_is_retried_until_given_up(gate: Gate) -> None:
    made = await create(gate.alice, "http://127.0.0.1:9/")
    test = (await gate.alice.post(f"{HOOKS}/{made['id']}/test")).json()
    await until(lambda: _tries(gate, 1))
    gate.clock.advance(24 * 3600)
    await until(lambda: _tries(gate, 2))
    shown = (await gate.alice.get(f"{DELIVERIES}/{test['id']}")).json()
    assert (shown["state"], shown["next_attempt_at"]) == ("failed", None)
    assert {attempt["error"] for attempt in shown["attempts"]} == {"the connection failed"}


async def test_an_endpoint_that_fails_for_days_is_disabled_and_can_be_enabled(gate: Gate, receiver: Receiver) -> None:
    receiver.status = 500
    made = await create(gate.alice, receiver.url)
    path = f"{HOOKS}/{made['id']}"
    await gate.alice.post(f"{path}/test")
    await until(lambda: gate.rows("SELECT 1 FROM webhook_attempts"))
    gate.clock.advance(72 * 3600)
    await gate.alice.post(f"{path}/test")
    await until(lambda: _disabled(gate, path))
    shown = (await gate.alice.get(path)).json()
    assert shown["disabled_reason"] == "it accepted no message for 72 hours"
    await ended(gate, gate.alice)
    assert gate.rows("SELECT count(*) FROM webhook_messages") == [(2,)], "it receives no further message"
    receiver.status = 204
    await gate.alice.patch(path, json={"enabled": True})
    await ended(gate, gate.alice)
    await until(lambda: json.loads(receiver.got[-1].body)["type"] == "job.succeeded")
    assert (await gate.alice.get(path)).json()["failing_since"] is None


async def test_status_410_disables_an_endpoint(gate: Gate, receiver: Receiver) -> None:
    receiver.status = 410
    made = await create(gate.alice, receiver.url)
    await gate.alice.post(f"{HOOKS}/{made['id']}/test")
    await until(lambda: _disabled(gate, f"{HOOKS}/{made['id']}"))
    assert (await deliveries(gate.alice))[0]["state"] == "failed"


async def _disabled(gate: Gate, path: str) -> bool:
    return (await gate.alice.get(path)).json()["enabled"] is False


async def test_a_message_is_stored_with_the_jobs_end(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    await create(gate.alice, "http://127.0.0.1:9/")
    job = await submit(gate.alice)
    await taken(gate, job)
    monkeypatch.setattr("provisioning.gateway.webhooks.outbox.new_id", _broken)
    await gate.comfy.begin(job)
    await gate.comfy.end(job)
    await asyncio.sleep(0.2)
    both = "SELECT finished_at IS NULL, (SELECT count(*) FROM webhook_messages) FROM jobs"
    assert gate.rows(both) == [(1, 0)], "both are stored, or neither"
    monkeypatch.undo()
    await gate.app.services.tracker.reconcile()
    assert gate.rows("SELECT finished_at IS NULL FROM jobs") == [(0,)]
    assert gate.rows("SELECT type, subject FROM webhook_messages") == [("job.succeeded", job)]


def _broken(_prefix: str) -> str:
    raise Problem(Code.STORE_UNAVAILABLE)


async def test_a_slow_receiver_does_not_delay_others(gate: Gate, receiver: Receiver) -> None:
    async with receiving() as slow:
        slow.manner = "silent"
        made = await create(gate.alice, slow.url)
        for _ in range(30):
            await gate.alice.post(f"{HOOKS}/{made['id']}/test")
        await until(lambda: len(slow.got) == 2)
        other = await create(gate.bob, receiver.url)
        await gate.bob.post(f"{HOOKS}/{other['id']}/test")
        await until(lambda: receiver.got)
        assert len(slow.got) == 2


async def test_old_messages_are_deleted_except_pending_ones(gate: Gate, receiver: Receiver) -> None:
    made = await create(gate.alice, receiver.url)
    await gate.alice.post(f"{HOOKS}/{made['id']}/test")
    await until(lambda: (receiver.got, gate.rows("SELECT 1 FROM webhook_attempts"))[1])
    receiver.status = 500
    await gate.alice.post(f"{HOOKS}/{made['id']}/test")
    await until(lambda: gate.rows("SELECT count(*) FROM webhook_attempts") == [(2,)])
    await gate.app.services.webhooks.deliveries.prune(gate.clock.now_ms() + 1)
    counts = ("messages", "deliveries", "attempts")
    columns = ", ".join(f"(SELECT count(*) FROM webhook_{name})" for name in counts)  # noqa: S608 - our own names
    assert gate.rows(f"SELECT {columns}") == [(1, 1, 1)]


@pytest.mark.parametrize(
    "body",
    [
        {}, {"url": 5}, {"url": "https://x.test", "events": []}, {"url": "https://x.test", "events": ["job.started"]},
        {"url": "https://x.test", "events": "job.failed"}, {"url": "https://x.test", "secret": "mine"},
        {"url": "https://x.test", "description": "x" * 201},
    ],
)  # fmt: skip
async def test_invalid_bodies_are_refused(gate: Gate, body: dict[str, Any]) -> None:
    answer = await gate.alice.post(HOOKS, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field"), answer.text


@pytest.mark.parametrize("overrides", [LOCAL | {"max_webhooks_per_owner": 1}])
async def test_webhooks_per_user_are_limited(gate: Gate) -> None:
    await create(gate.alice, "http://127.0.0.1:9/")
    answer = await gate.alice.post(HOOKS, json={"url": "http://127.0.0.1:9/"})
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_webhooks")
    await create(gate.bob, "http://127.0.0.1:9/")


@given(st.integers(0, 200), st.floats(0, 1), st.one_of(st.none(), st.floats(0, 10**8)), st.integers(0, 10**9))
def test_the_backoff_grows_is_bounded_and_honours_retry_after(
    attempts: int, jitter: float, asked: float | None, since: int
) -> None:
    backoff = Backoff(give_up_ms=86_400_000, disable_ms=1, jitter=lambda: jitter)
    then = backoff.next(attempts, 0, AttemptResult(500, "no", 1, asked), since)
    if then.at is None:
        assert then.state is DeliveryState.FAILED
        assert since + 1000 * max(LONGEST_SECONDS, asked or 0, 1) >= 86_400_000
        return
    pause = (then.at - since) / 1000
    assert 1 <= pause <= max(LONGEST_SECONDS, asked or 0) + 0.001
    assert pause >= (asked or 0) - 0.001
    assert then.at <= 86_400_000


@pytest.mark.parametrize("overrides", [LOCAL | {"encrypt_at_rest": True, "encryption_key": "e" * 40}])
async def test_urls_secrets_and_bodies_are_encrypted_at_rest(gate: Gate, receiver: Receiver, tmp_path: Path) -> None:
    made = await create(gate.alice, receiver.url + "/canary-path", description="canary-words")
    await gate.alice.post(f"{HOOKS}/{made['id']}/test")
    await until(lambda: gate.rows("SELECT 1 FROM webhook_attempts"))
    stored = b"".join(path.read_bytes() for path in sorted(tmp_path.glob("gateway.db*")))  # noqa: ASYNC240 - a test's
    for canary in (made["secret"], "canary-path", "canary-words", "This webhook works"):
        assert canary.encode() not in stored
    assert b"webhook.test" in stored, "the file contains the searched text"
