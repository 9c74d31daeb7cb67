"""Every limit that a key or a user can be given, one by one: that it holds, for whom, and how its refusal reads."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from provisioning.contract.gateway_options import Period, Unit
from provisioning.gateway.core.limit_settings import LimitSettings
from tests.unit.gateway.accounts import add_user, issue
from tests.unit.gateway.conftest import Gate, until, workflow
from tests.unit.gateway.fake import PNG

Act = Callable[["Visit", httpx.AsyncClient], Awaitable[httpx.Response]]


@dataclass
class Visit:
    """A gateway that keys call over a real connection, and what they leave open there."""

    gate: Gate
    port: int
    left_open: contextlib.AsyncExitStack

    async def client(self, token: str) -> httpx.AsyncClient:
        return await self.left_open.enter_async_context(
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{self.port}", headers={"X-API-Key": token}, trust_env=False, timeout=30
            )
        )


async def look(_visit: Visit, client: httpx.AsyncClient) -> httpx.Response:
    return await client.get("/queue")


async def submit(_visit: Visit, client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/prompt", json={"prompt": workflow()})


async def submit_batch(_visit: Visit, client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/api/gateway/batches", json={"workflows": [workflow()]})


async def upload(_visit: Visit, client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/upload/image", files={"image": ("a.png", PNG)})


async def listen(visit: Visit, client: httpx.AsyncClient) -> httpx.Response:
    """Open a stream that stays open; a refusal is read whole."""
    answer = await client.send(client.build_request("GET", "/api/gateway/events"), stream=True)
    visit.left_open.push_async_callback(answer.aclose)
    if answer.is_error:
        await answer.aread()
    return answer


async def dawdle(visit: Visit, client: httpx.AsyncClient) -> httpx.Response:
    """Begin a request whose body does not end; answers what another one is answered meanwhile, by another key."""

    async def body() -> AsyncIterator[bytes]:
        yield b'{"prompt": '
        await asyncio.Event().wait()

    held = visit.gate.app.services.limits._held
    sending = asyncio.create_task(client.post("/prompt", content=body()))

    async def hang_up() -> None:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)

    visit.left_open.push_async_callback(hang_up)
    await until(lambda: held)
    return await (await visit.client(visit.gate.keyring.bob)).get("/queue")


@dataclass(frozen=True)
class Row:
    """One limit, what is let in once under it, and what is refused then."""

    limits: dict[str, Any]
    first: Act
    then: Act
    code: str
    policies: dict[str, str]
    """By whose limit it is, what `violated-policies` names."""
    status: int = 429


def rate(kind: str) -> dict[str, str]:
    return {"key": f"{kind}perkey", "user": kind}


def per(what: str) -> dict[str, str]:
    return {"key": f"{what}perkey", "user": f"{what}perowner"}


def quota(unit: Unit, period: Period, amount: float, act: Act) -> Row:
    policies = {subject: f"{subject}-{unit}-{period}" for subject in ("key", "user")}
    status, code = (402, "quota_exhausted") if unit is Unit.USD else (429, "quota_exceeded")
    return Row({"quotas": {unit: {period: amount}}}, act, act, code, policies, status)


ONE: dict[Unit, tuple[float, Act]] = {
    Unit.JOBS: (1, submit),
    # What one job sets aside until it has ended; at 3.60 dollars an hour that is six cents.
    Unit.GPU_SECONDS: (60, submit),
    Unit.IMAGES: (1, submit),
    # One upload has some 230, what is around the picture included.
    Unit.BYTES: (400, upload),
    Unit.USD: (0.06, submit),
}

ROWS = {
    "requests_per_minute": Row({"requests_per_minute": 1}, look, look, "rate_limited", per("")),
    "submits_per_minute": Row({"submits_per_minute": 1}, submit, submit_batch, "rate_limited", rate("submit")),
    "uploads_per_minute": Row({"uploads_per_minute": 1}, upload, upload, "rate_limited", rate("upload")),
    "max_requests": Row({"max_requests": 1}, dawdle, look, "concurrency_limited", per("requests")),
    "max_streams": Row({"max_streams": 1}, listen, listen, "too_many_streams", per("streams")),
    "max_queued": Row({"max_queued": 1}, submit, submit_batch, "queue_full", per("queue")),
} | {f"quotas.{unit}.{period}": quota(unit, period, *ONE[unit]) for unit in Unit for period in Period}


CASES = [
    (name, subject)
    for name in ROWS
    for subject in ("key", "user")
    # One period is counted as the other is: half of the combinations are enough.
    if not name.startswith("quotas.") or name.endswith("day") == (subject == "key")
]


def test_no_limit_is_left_out() -> None:
    assert {name.partition(".")[0] for name in ROWS} == set(LimitSettings.model_fields)


@pytest.fixture
async def visit(gate: Gate, port: int) -> AsyncIterator[Visit]:
    async with contextlib.AsyncExitStack() as left_open:
        yield Visit(gate, port, left_open)


@pytest.mark.parametrize("overrides", [{"reserved_gpu_seconds": 60.0}])
@pytest.mark.parametrize(("name", "subject"), CASES)
async def test_a_limit_holds_for_whom_it_was_set(visit: Visit, name: str, subject: str) -> None:
    row, gate = ROWS[name], visit.gate
    await add_user(gate, "team", limits=row.limits if subject == "user" else {})
    own = {"limits": row.limits} if subject == "key" else {}
    one = await visit.client((await issue(gate.admin, owner="team", **own))["key"])
    two = await visit.client((await issue(gate.admin, owner="team"))["key"])
    assert (await row.first(visit, one)).is_success
    if subject == "key":
        assert (await row.then(visit, two)).is_success, "another key of the same user is free"
    check(await row.then(visit, two if subject == "user" else one), row, subject)
    assert (await row.then(visit, await visit.client(gate.keyring.alice))).is_success, "so is another user"


def check(refused: httpx.Response, row: Row, subject: str) -> None:
    """Check that a refusal says which limit, to programs and to people, and when to come again."""
    body, wait = refused.json(), int(refused.headers["retry-after"])
    assert (refused.status_code, body["code"]) == (row.status, row.code), body
    assert body["violated-policies"] == [row.policies[subject]]
    assert 1 <= wait <= 31 * 86_400
    assert body["retry_after"] == wait
    assert refused.headers["content-type"] == "application/problem+json"
    policies, left = refused.headers["ratelimit-policy"], refused.headers["ratelimit"]
    assert '"perkey";q=' in policies
    assert re.search(r'^"[a-z_-]+";r=\d+;t=\d+(, "[a-z]+";r=\d+;t=\d+)?$', left), left
    if row.code in {"rate_limited", "quota_exceeded", "quota_exhausted"}:
        # What refused comes first, and says when it will not; of bytes some are left, and not enough.
        assert re.match(rf'"{row.policies[subject]}";r={"[0-9]+" if "bytes" in left else 0};t={wait}\b', left), left
        assert f'"{row.policies[subject]}";q=' in policies
    assert any(character.isdigit() for character in body["detail"]), "it says how many"


async def test_a_limit_above_the_options_default_is_the_keys_own(gate: Gate) -> None:
    """A key may be given more than the option for keys says, up to what its user may."""
    await add_user(gate, "team", limits={"max_queued": 3})
    client = gate.client((await issue(gate.admin, owner="team", limits={"max_queued": 5}))["key"])
    answers = [await client.post("/prompt", json={"prompt": workflow()}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert (await client.get("/api/gateway/jobs")).json()["limit"] == 3
    assert (await client.get("/api/gateway/me")).json()["limits"]["max_queued"] == 5
    assert (await client.post("/api/gateway/batches", json={"workflows": [workflow()] * 4})).status_code == 422
