"""More than two hundred raw requests that try to bypass authentication, all of which must fail."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.unit.gateway.conftest import NGINX_BUILDS, Gate, submit, taken, workflow
from tests.unit.gateway.fake import PNG
from tests.unit.gateway.raw import credentials, framing, heads, material, paths, sockets
from tests.unit.gateway.raw.connections import PROBE
from tests.unit.gateway.raw.requests import Raw

LEAST = 200
CANARY = "canary-of-alice"
PATIENCE = 60.0
HANGS = b"nothing came, and the connection stayed"
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


@pytest.fixture(params=NGINX_BUILDS)
def nginx(request: pytest.FixtureRequest) -> Path:
    build: Path = request.param
    return build


async def table(gate: Gate) -> list[Raw]:
    """Return every request."""
    stolen = await material.gather(gate)
    key = stolen.key
    return [
        *paths.requests(), *heads.requests(key), *framing.requests(key), *credentials.requests(stolen),
        *sockets.requests(stolen),
    ]  # fmt: skip


async def furnish(gate: Gate) -> str:
    """Create a waiting job and a file of Alice, each with the canary; return the job's id."""
    form = {"file_path": f"{CANARY}.png", "content_type": "image/png"}
    await gate.alice.post("/api/v2/assets", data=form, files={"file": ("a.png", PNG)})
    return await submit(gate.alice, prompt=workflow(CANARY))


async def exchange(port: int, raw: Raw) -> tuple[bytes, bytes]:
    """Return the response to a request, and the response to a probe on the same connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = after = b""
    # A missing response is a fault as well.
    with contextlib.suppress(ConnectionError):
        try:
            async with asyncio.timeout(PATIENCE):
                writer.write(raw.data)
                answer = await one_answer(reader, has_body=not raw.data.startswith(b"HEAD "))
                writer.write(PROBE)
                after = await reader.read()
        except TimeoutError:
            answer = answer or HANGS
    writer.close()
    return answer, after


async def one_answer(reader: asyncio.StreamReader, *, has_body: bool) -> bytes:
    """Return a complete response, skipping 100 Continue."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"HTTP/1.1 100 "):
            head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        return head + (await reader.readexactly(int(length[1])) if length and has_body else b"")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


def faults(raw: Raw, answer: bytes, after: bytes, secrets: tuple[bytes, ...]) -> list[str]:
    """Return the faults of the response to a request."""
    found = STATUS.match(answer)
    said = int(found[1]) if found else 0
    wrong = [] if said in raw.statuses else [f"{said}, not {sorted(raw.statuses)}"]
    if len(STATUS.findall(answer)) > 1:
        wrong.append("more than one answer")
    alive = [int(status) for status in STATUS.findall(after)]
    if answer == HANGS:
        wrong.append("it hangs")
    goes_on = alive == [200] and b'"alive"' in after
    if not goes_on and any(status < 400 for status in alive):
        wrong.append(f"the connection is out of step: {after[:80]!r}")
    if raw.cut and goes_on:
        wrong.append("the connection goes on")
    wrong += [f"it tells {secret!r}" for secret in secrets if secret in answer + after]
    return wrong


@pytest.mark.parametrize("overrides", [{"poll_seconds": 3600}])
async def test_no_authentication_bypass_succeeds(gate: Gate, port: int) -> None:
    requests = await table(gate)
    job = await furnish(gate)
    await taken(gate, job)
    assert len({raw.data for raw in requests}) > LEAST
    counts = {"seen": len(gate.comfy.seen), **(await rows(gate))}
    keys = (gate.keyring.admin, gate.keyring.alice, job, CANARY, "someone-elses", "/workspace/")
    wrong = {}
    for raw in requests:
        answer, after = await exchange(port, raw)
        if found := faults(raw, answer, after, tuple(key.encode() for key in keys)):
            wrong[raw.name] = found
    assert wrong == {}
    assert counts == {"seen": len(gate.comfy.seen), **(await rows(gate))}


async def rows(gate: Gate) -> dict[str, int]:
    """Return the number of rows of each table."""
    tables = ("jobs", "assets", "keys", "users", "sessions", "audit", "webhook_endpoints", "spent_tickets")
    return {name: gate.rows(f"SELECT count(*) FROM {name}")[0][0] for name in tables}  # noqa: S608 - our own words


async def test_every_raw_request_has_a_unique_name(gate: Gate) -> None:
    requests = await table(gate)
    twice = [name for name, count in Counter(raw.name for raw in requests).items() if count > 1]
    assert twice == []
