"""Responses that are the same for all users are requested once and cached briefly."""

from __future__ import annotations

import asyncio

import pytest

from provisioning.gateway.upstream.response_cache import FRESH_SECONDS, MAX_KEPT_BYTES, MAX_KNOWN
from tests.unit.gateway.conftest import Gate, until


async def test_one_request_serves_all_users(gate: Gate) -> None:
    first = await gate.alice.get("/models")
    others = [await client.get(path) for client in (gate.alice, gate.bob) for path in ("/models", "/api/models")]
    assert [other.content for other in others] == [first.content] * 4
    assert first.json() == ["checkpoints"]
    assert len(gate.comfy.asked("GET", "/models")) == 1


async def test_concurrent_callers_share_one_request(gate: Gate) -> None:
    gate.comfy.held = asyncio.Event()
    asking = [asyncio.create_task(client.get("/models")) for client in (gate.alice, gate.bob, gate.admin)]
    await asyncio.sleep(0.05)
    asking[0].cancel()
    gate.comfy.held.set()
    answers = [await each for each in asking[1:]]
    assert [answer.json() for answer in answers] == [["checkpoints"]] * 2
    assert len(gate.comfy.asked("GET", "/models")) == 1


async def test_late_callers_do_not_wait_for_an_old_request(gate: Gate) -> None:
    gate.comfy.held = asyncio.Event()
    early = asyncio.create_task(gate.alice.get("/models"))
    await until(lambda: gate.comfy.asked("GET", "/models"))
    gate.clock.advance(FRESH_SECONDS + 0.1)
    late = asyncio.create_task(gate.bob.get("/models"))
    await until(lambda: len(gate.comfy.asked("GET", "/models")) == 2)
    gate.comfy.held.set()
    assert [(await each).status_code for each in (early, late)] == [200, 200]
    await gate.admin.get("/models")
    assert len(gate.comfy.asked("GET", "/models")) == 2, "the later response is cached"


async def test_an_old_response_is_requested_again(gate: Gate) -> None:
    await gate.alice.get("/models")
    gate.clock.advance(FRESH_SECONDS - 0.1)
    await gate.alice.get("/models")
    assert len(gate.comfy.asked("GET", "/models")) == 1
    gate.clock.advance(0.2)
    await gate.alice.get("/models")
    assert len(gate.comfy.asked("GET", "/models")) == 2


async def test_admin_only_responses_stay_restricted(gate: Gate) -> None:
    assert (await gate.admin.get("/experiment/models")).status_code == 200
    answer = await gate.alice.get("/experiment/models")
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")


@pytest.mark.parametrize("nonsense", [("text/html", b"<html>"), ("application/json", b'["half')])
async def test_an_error_is_not_cached(gate: Gate, nonsense: tuple[str, bytes]) -> None:
    gate.comfy.nonsense["/models"] = nonsense
    assert (await gate.alice.get("/models")).status_code == 502
    gate.comfy.nonsense.clear()
    assert (await gate.alice.get("/models")).json() == ["checkpoints"]


async def test_number_and_size_of_cached_responses_are_limited(gate: Gate) -> None:
    gate.comfy.nonsense["/models/long"] = ("application/json", b'["' + b"a" * MAX_KEPT_BYTES + b'"]')
    for _ in range(2):
        assert len((await gate.alice.get("/models/long")).content) == MAX_KEPT_BYTES + 4
    assert len(gate.comfy.asked("GET", "/models/long")) == 2
    gate.comfy.nonsense["/models/folder"] = ("application/json", b"[]")
    for number in range(MAX_KNOWN + 1):
        await gate.admin.get(f"/models/folder{number}")
    for path in ("/models/folder0", f"/models/folder{MAX_KNOWN}"):
        await gate.admin.get(path)
    assert len(gate.comfy.asked("GET", "/models/folder0")) == 2
    assert len(gate.comfy.asked("GET", f"/models/folder{MAX_KNOWN}")) == 1
