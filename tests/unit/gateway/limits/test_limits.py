"""Limits on requests by key, owner, kind, address and queue."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from provisioning.gateway.accounts import key_format
from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.http.context import RequestContext
from provisioning.gateway.core.http.operation import RateClass
from provisioning.gateway.core.http.request import Connection
from provisioning.gateway.core.limit_settings import LimitSettings
from provisioning.gateway.core.problems import Problem
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.limits.policies import RequestLimits
from tests.unit.gateway.accounts import add_user, issue
from tests.unit.gateway.asgi_requests import bearer, raw_request
from tests.unit.gateway.conftest import HOST, UNKNOWN_KEY, Gate, submit, workflow

HOST_HEADER = (b"host", HOST.encode())
"""`raw_request` comes from an address that is not on loopback."""


@pytest.mark.parametrize("overrides", [{"rate_limit_per_minute": 2, "owner_rate_limit_per_minute": 3}])
async def test_keys_of_a_user_share_the_users_limit(gate: Gate) -> None:
    tokens = [await gate.store.create(name, frozenset({Scope.CLIENT}), "team") for name in ("one", "two")]
    one, two = (gate.client(token) for token in tokens)
    assert [(await one.get("/queue")).status_code for _ in range(3)] == [200, 200, 429]
    assert (await two.get("/queue")).status_code == 200
    refused = await two.get("/queue")
    assert (refused.status_code, refused.json()["violated-policies"]) == (429, ["perowner"])
    assert refused.headers["ratelimit"].startswith('"perowner";r=0')
    assert int(refused.headers["retry-after"]) >= 1


@pytest.mark.parametrize("overrides", [{"submits_per_minute": 1, "uploads_per_minute": 1}])
async def test_submissions_and_uploads_have_their_own_limits(gate: Gate) -> None:
    await submit(gate.alice)
    for path in ("/prompt", "/api/prompt", "/api/v2/jobs"):
        answer = await gate.alice.post(path, json={"prompt": workflow()})
        assert (answer.status_code, answer.json()["violated-policies"]) == (429, ["submit"]), path
    for path in ("/upload/image", "/upload/mask", "/api/v2/assets"):
        answer = await gate.alice.post(path, files={"image": ("a.txt", b"x")})
        assert answer.status_code == (415 if path == "/upload/image" else 429), path
    assert (await gate.alice.get("/queue")).status_code == 200
    await submit(gate.bob)


@pytest.mark.parametrize("overrides", [{"address_rate_limit_per_minute": 2}])
async def test_an_address_is_limited_across_keys(gate: Gate) -> None:
    alice, admin = (HOST_HEADER, (b"x-api-key", gate.keyring.alice.encode())), (HOST_HEADER, bearer(gate))
    answers = [await raw_request(gate, b"/queue", list(headers)) for headers in (alice, admin, alice)]
    assert answers == [200, 200, 429]
    assert (await gate.alice.get("/queue")).status_code == 200, "loopback addresses are not limited"


@pytest.mark.parametrize("overrides", [{"failed_logins_per_minute": 2}])
async def test_failed_logins_are_limited_and_valid_keys_are_not(gate: Gate) -> None:
    typo, unknown = (b"x-api-key", b"cgw_live_x"), (b"x-api-key", UNKNOWN_KEY.encode())
    guesses = [await raw_request(gate, b"/queue", [HOST_HEADER, guess]) for guess in (typo, unknown, unknown, typo)]
    assert guesses == [401, 401, 429, 429]
    assert await raw_request(gate, b"/queue", [HOST_HEADER]) == 401, "a missing key is not a failed login"
    assert await raw_request(gate, b"/queue", [HOST_HEADER, bearer(gate)]) == 200
    assert (await gate.client(UNKNOWN_KEY).get("/queue")).status_code == 401, "another address"
    gate.clock.advance(30)
    assert await raw_request(gate, b"/queue", [HOST_HEADER, unknown]) == 401


@pytest.mark.parametrize("overrides", [{"failed_logins_per_minute": 1}])
async def test_a_revoked_key_counts_as_a_failed_login(gate: Gate) -> None:
    token = await gate.store.create("short", frozenset({Scope.CLIENT}))
    await gate.store.revoke(key_format.key_id(token) or "")
    assert [(await gate.client(token).get("/queue")).status_code for _ in range(2)] == [401, 429]


@pytest.mark.parametrize("overrides", [{"max_queued_per_owner": 3}])
async def test_unfinished_jobs_per_user_are_limited_also_in_parallel(gate: Gate) -> None:
    client = gate.alice
    answers = await asyncio.gather(*(client.post("/prompt", json={"prompt": workflow()}) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [429] * 7
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert (refused.json()["code"], refused.headers["retry-after"]) == ("queue_full", "10")
    assert len(gate.comfy.asked("POST", "/prompt")) == 1, "the others wait in the gateway's queue"
    assert gate.rows("SELECT count(*) FROM jobs") == [(3,)]
    await submit(gate.bob)
    await gate.alice.post("/queue", json={"clear": True})
    await submit(gate.alice)


@pytest.mark.parametrize("overrides", [{"max_queued": 2}])
async def test_unfinished_jobs_of_all_users_are_limited(gate: Gate) -> None:
    await submit(gate.alice)
    await submit(gate.bob)
    answer = await gate.admin.post("/prompt", json={"prompt": workflow()})
    assert (answer.status_code, answer.json()["code"]) == (429, "queue_full")


async def test_limits_set_by_an_admin_apply_to_that_key_and_user(gate: Gate) -> None:
    await add_user(gate, "team", limits={"requests_per_minute": 4, "submits_per_minute": 1})
    one = gate.client((await issue(gate.admin, owner="team", limits={"requests_per_minute": 2}))["key"])
    two = gate.client((await issue(gate.admin, owner="team"))["key"])
    assert (await one.get("/queue")).headers["ratelimit-policy"] == '"perkey";q=2;w=60, "perowner";q=4;w=60'
    assert [(await one.get("/queue")).status_code for _ in range(2)] == [200, 429]
    await submit(two)
    refused = await two.post("/prompt", json={"prompt": workflow()})
    assert (refused.status_code, refused.json()["violated-policies"]) == (429, ["submit"])
    assert (await two.get("/queue")).status_code == 200
    assert (await two.get("/queue")).json()["violated-policies"] == ["perowner"]
    me = await gate.alice.get("/api/gateway/me")
    assert me.json()["limits"]["requests_per_minute"] == gate.settings.rate_limit_per_minute


async def test_a_keys_submission_limit_may_be_below_its_users(gate: Gate) -> None:
    made = await issue(gate.admin, limits={"submits_per_minute": 1, "uploads_per_minute": 1})
    client = gate.client(made["key"])
    await submit(client)
    refused = await client.post("/prompt", json={"prompt": workflow()})
    assert refused.json()["violated-policies"] == ["submitperkey"]
    answers = [await client.post("/upload/image", files={"image": ("a.txt", b"x")}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [415, 429]


def _admitted(limits: RequestLimits, actor: Actor) -> contextlib.AbstractContextManager[None]:
    """Count a request, and return the context that holds it open."""
    scope = {"type": "http", "client": ("127.0.0.1", 1)}
    RequestContext(idle_seconds=1, actor=actor).bind(scope)
    return limits.admit(Connection(scope), RateClass.PLAIN)


async def test_concurrent_requests_are_limited_per_key_and_user(gate: Gate) -> None:
    limits = gate.app.services.limits
    own = Actor("k1", "k1", "team", frozenset(), LimitSettings(max_requests=1), LimitSettings(max_requests=2))
    other = Actor("k2", "k2", "team", frozenset(), user_limits=LimitSettings(max_requests=2))
    with _admitted(limits, own):
        with pytest.raises(Problem, match="concurrency_limited"):
            _admitted(limits, own).__enter__()
        with _admitted(limits, other), pytest.raises(Problem, match="concurrency_limited"):
            _admitted(limits, other).__enter__()
        with _admitted(limits, other):
            pass
    with _admitted(limits, own):
        pass


async def test_a_keys_stream_limit_may_be_below_its_users(gate: Gate, port: int) -> None:
    made = await issue(gate.admin, limits={"max_streams": 1})
    url, headers = f"ws://127.0.0.1:{port}/ws", {"X-API-Key": made["key"]}
    async with connect(url, additional_headers=headers):
        with pytest.raises(InvalidStatus, match="429"):
            await connect(url, additional_headers=headers)
    async with connect(url, additional_headers={"X-API-Key": gate.keyring.alice}):
        pass


async def test_every_response_has_rate_limit_headers(gate: Gate) -> None:
    """For successes, refusals, missing resources and missing scopes."""
    for method, path in (
        ("GET", "/queue"),
        ("GET", "/nowhere"),
        ("PUT", "/queue"),
        ("POST", "/free"),
        ("GET", "/view"),
    ):
        answer = await gate.alice.request(method, path, json={})
        assert answer.headers["ratelimit-policy"].startswith('"perkey";q='), (method, path)
        assert answer.headers["ratelimit"].startswith('"perkey";r='), (method, path)
    assert "ratelimit" not in (await gate.client(None).get("/queue")).headers


@pytest.mark.parametrize("overrides", [{"rate_limit_per_minute": 1_000_000}])
async def test_the_highest_rate_of_the_option_is_applied(gate: Gate) -> None:
    policies = (await gate.alice.get("/queue")).headers["ratelimit-policy"]
    assert policies == '"perkey";q=1000000;w=60, "perowner";q=2000000;w=60'
