"""Every limit of a key or user: that it applies, to whom, and the content of its refusal."""

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
    """A gateway with clients over real connections, and the streams and requests that they hold open."""

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
    """Open a stream and keep it open; read a refusal completely."""
    answer = await client.send(client.build_request("GET", "/api/gateway/events"), stream=True)
    visit.left_open.push_async_callback(answer.aclose)
    if answer.is_error:
        await answer.aread()
    return answer


async def dawdle(visit: Visit, client: httpx.AsyncClient) -> httpx.Response:
    """Begin a request with an endless body, and return the response to another request meanwhile."""

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
    """A limit, a request that it accepts once, and the request that it then refuses."""

    limits: dict[str, Any]
    first: Act
    then: Act
    code: str
    policies: dict[str, str]
    """The names in `violated-policies` by subject."""
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
    # The reservation of an unfinished job; at 3.60 dollars an hour it is six cents.
    Unit.GPU_SECONDS: (60, submit),
    Unit.IMAGES: (1, submit),
    # An upload has about 230 bytes, the form included.
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
    # Both periods are counted alike, so half of the combinations are enough.
    if not name.startswith("quotas.") or name.endswith("day") == (subject == "key")
]


def test_every_limit_is_tested() -> None:
    assert {name.partition(".")[0] for name in ROWS} == set(LimitSettings.model_fields)


@pytest.fixture
async def visit(gate: Gate, port: int) -> AsyncIterator[Visit]:
    async with contextlib.AsyncExitStack() as left_open:
        yield Visit(gate, port, left_open)


@pytest.mark.parametrize("overrides", [{"reserved_gpu_seconds": 60.0}])
@pytest.mark.parametrize(("name", "subject"), CASES)
async def test_a_limit_applies_to_its_key_or_user_only(visit: Visit, name: str, subject: str) -> None:
    row, gate = ROWS[name], visit.gate
    await add_user(gate, "team", limits=row.limits if subject == "user" else {})
    own = {"limits": row.limits} if subject == "key" else {}
    one = await visit.client((await issue(gate.admin, owner="team", **own))["key"])
    two = await visit.client((await issue(gate.admin, owner="team"))["key"])
    assert (await row.first(visit, one)).is_success
    if subject == "key":
        assert (await row.then(visit, two)).is_success, "another key of the same user is not limited"
    check(await row.then(visit, two if subject == "user" else one), row, subject)
    assert (await row.then(visit, await visit.client(gate.keyring.alice))).is_success, "another user is not limited"


def check(refused: httpx.Response, row: Row, subject: str) -> None:
    """Check that a refusal names the limit, for programs and people, and the time to retry."""
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
        # The exceeded limit comes first, with its reset; some bytes are left, but not enough.
        assert re.match(rf'"{row.policies[subject]}";r={"[0-9]+" if "bytes" in left else 0};t={wait}\b', left), left
        assert f'"{row.policies[subject]}";q=' in policies
    assert any(character.isdigit() for character in body["detail"]), "it names the limit"


async def test_a_keys_limit_may_exceed_the_options_default(gate: Gate) -> None:
    """A key's limit may exceed the option for keys, up to its user's limit."""
    await add_user(gate, "team", limits={"max_queued": 3})
    client = gate.client((await issue(gate.admin, owner="team", limits={"max_queued": 5}))["key"])
    answers = [await client.post("/prompt", json={"prompt": workflow()}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert (await client.get("/api/gateway/jobs")).json()["limit"] == 3
    assert (await client.get("/api/gateway/me")).json()["limits"]["max_queued"] == 5
    assert (await client.post("/api/gateway/batches", json={"workflows": [workflow()] * 4})).status_code == 422
