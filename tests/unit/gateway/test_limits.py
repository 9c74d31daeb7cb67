"""How the limits meet requests: by key, owner, kind, address and queue."""

from __future__ import annotations

import asyncio

import pytest

from provisioning.gateway.access import keys
from provisioning.gateway.access.scopes import Scope
from tests.unit.gateway.conftest import HOST, UNKNOWN_KEY, Gate, submit, workflow
from tests.unit.gateway.test_access import bearer, raw_request

HOST_HEADER = (b"host", HOST.encode())
"""`raw_request` comes from an address that is not on loopback."""


@pytest.mark.parametrize("overrides", [{"rate_limit_per_minute": 2, "owner_rate_limit_per_minute": 3}])
async def test_the_keys_of_an_owner_share_its_limit(gate: Gate) -> None:
    tokens = [await gate.store.create(name, frozenset({Scope.CLIENT}), "team") for name in ("one", "two")]
    one, two = (gate.client(token) for token in tokens)
    assert [(await one.get("/queue")).status_code for _ in range(3)] == [200, 200, 429]
    assert (await two.get("/queue")).status_code == 200
    refused = await two.get("/queue")
    assert (refused.status_code, refused.json()["violated-policies"]) == (429, ["perowner"])
    assert refused.headers["ratelimit"].startswith('"perowner";r=0')
    assert int(refused.headers["retry-after"]) >= 1


@pytest.mark.parametrize("overrides", [{"submits_per_minute": 1, "uploads_per_minute": 1}])
async def test_what_takes_the_gpu_or_the_disk_has_limits_of_its_own(gate: Gate) -> None:
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
async def test_an_address_is_limited_whatever_its_keys(gate: Gate) -> None:
    alice, admin = (HOST_HEADER, (b"x-api-key", gate.keyring.alice.encode())), (HOST_HEADER, bearer(gate))
    answers = [await raw_request(gate, b"/queue", list(headers)) for headers in (alice, admin, alice)]
    assert answers == [200, 200, 429]
    assert (await gate.alice.get("/queue")).status_code == 200, "loopback is nobody in particular"


@pytest.mark.parametrize("overrides", [{"failed_logins_per_minute": 2}])
async def test_guesses_are_slowed_and_right_keys_are_not(gate: Gate) -> None:
    typo, unknown = (b"x-api-key", b"cgw_live_x"), (b"x-api-key", UNKNOWN_KEY.encode())
    guesses = [await raw_request(gate, b"/queue", [HOST_HEADER, guess]) for guess in (typo, unknown, unknown, typo)]
    assert guesses == [401, 401, 429, 429]
    assert await raw_request(gate, b"/queue", [HOST_HEADER]) == 401, "no key is no guess"
    assert await raw_request(gate, b"/queue", [HOST_HEADER, bearer(gate)]) == 200
    assert (await gate.client(UNKNOWN_KEY).get("/queue")).status_code == 401, "another address"
    gate.clock.advance(30)
    assert await raw_request(gate, b"/queue", [HOST_HEADER, unknown]) == 401


@pytest.mark.parametrize("overrides", [{"failed_logins_per_minute": 1}])
async def test_a_revoked_key_counts_as_a_guess(gate: Gate) -> None:
    token = await gate.store.create("short", frozenset({Scope.CLIENT}))
    await gate.store.revoke(keys.key_id(token) or "")
    assert [(await gate.client(token).get("/queue")).status_code for _ in range(2)] == [401, 429]


@pytest.mark.parametrize("overrides", [{"max_queued_per_owner": 3}])
async def test_an_owner_has_so_many_unfinished_jobs_even_in_parallel(gate: Gate) -> None:
    client = gate.alice
    answers = await asyncio.gather(*(client.post("/prompt", json={"prompt": workflow()}) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [429] * 7
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert (refused.json()["code"], refused.headers["retry-after"]) == ("queue_full", "5")
    assert len(gate.comfy.asked("POST", "/prompt")) == 1, "the others wait in our own queue"
    assert gate.rows("SELECT count(*) FROM jobs") == [(3,)]
    await submit(gate.bob)
    await gate.alice.post("/queue", json={"clear": True})
    await submit(gate.alice)


@pytest.mark.parametrize("overrides", [{"max_queued": 2}])
async def test_everybody_together_has_so_many_unfinished_jobs(gate: Gate) -> None:
    await submit(gate.alice)
    await submit(gate.bob)
    answer = await gate.admin.post("/prompt", json={"prompt": workflow()})
    assert (answer.status_code, answer.json()["code"]) == (429, "queue_full")
