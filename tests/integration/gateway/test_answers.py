"""What was answered is kept: SIGKILL the moment the answer is here, and another process that must know of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.gateway.bench import Volume, kill, with_admin, workflow
from tests.unit.gateway.conftest import until
from tests.unit.gateway.fake import PNG

pytestmark = pytest.mark.slow

Act = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]
Check = Callable[[httpx.AsyncClient, dict[str, Any]], Awaitable[bool]]

KEYS = "/api/gateway/keys"


async def _submits(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/api/v2/jobs", json={"workflow": workflow(1)})


async def _ran(client: httpx.AsyncClient, answer: dict[str, Any]) -> bool:
    async def is_done() -> bool:
        return bool((await client.get(f"/api/v2/jobs/{answer['id']}")).json()["status"] == "succeeded")

    await until(is_done, seconds=180)
    return True


async def _submits_a_batch(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/api/gateway/batches", json={"workflows": [workflow(2), workflow(3)]})


async def _has_both(client: httpx.AsyncClient, answer: dict[str, Any]) -> bool:
    return len((await client.get(f"/api/gateway/batches/{answer['id']}")).json()["jobs"]) == 2


async def _cancels(client: httpx.AsyncClient) -> httpx.Response:
    first = (await client.post("/api/v2/jobs", json={"workflow": workflow(4), "priority": -10})).json()
    return await client.post(first["urls"]["cancel"])


async def _ended(client: httpx.AsyncClient, answer: dict[str, Any]) -> bool:
    # One that ran already at the time is told to stop by whoever comes next.
    async def is_over() -> bool:
        return (await client.get(f"/api/v2/jobs/{answer['id']}")).json()["completed_at"] is not None

    await until(is_over, seconds=180)
    return True


async def _issues(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post(KEYS, json={"name": "bot", "scopes": ["client"], "limits": {"max_queued": 7}})


async def _lets_in(client: httpx.AsyncClient, answer: dict[str, Any]) -> bool:
    shown = await client.get("/api/gateway/me", headers={"X-API-Key": answer["key"]})
    return shown.status_code == 200 and shown.json()["limits"]["max_queued"] == 7


REVOKED: list[str] = []


async def _revokes(client: httpx.AsyncClient) -> httpx.Response:
    made = (await _issues(client)).json()
    REVOKED.append(made["key"])
    return await client.post(f"{KEYS}/{made['id']}/revoke")


async def _keeps_out(client: httpx.AsyncClient, _answer: dict[str, Any]) -> bool:
    return (await client.get("/queue", headers={"X-API-Key": REVOKED[-1]})).status_code == 401


async def _registers(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/api/gateway/webhooks", json={"url": "https://93.184.216.34/hook"})


async def _is_registered(client: httpx.AsyncClient, answer: dict[str, Any]) -> bool:
    return (await client.get(f"/api/gateway/webhooks/{answer['id']}")).status_code == 200


async def _uploads(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/api/v2/assets", files={"file": ("a.png", PNG)}, data={"file_path": "a.png"})


async def _gives_back(client: httpx.AsyncClient, answer: dict[str, Any]) -> bool:
    return (await client.get(f"/api/v2/assets/{answer['id']}/content")).content == PNG


ACTS: dict[str, tuple[Act, Check]] = {
    "a job": (_submits, _ran),
    "a batch": (_submits_a_batch, _has_both),
    "a cancellation": (_cancels, _ended),
    "a key with its limits": (_issues, _lets_in),
    "a revocation": (_revokes, _keeps_out),
    "a webhook": (_registers, _is_registered),
    "an upload": (_uploads, _gives_back),
}


async def test_nothing_that_was_answered_is_lost_by_a_kill_right_after(tmp_path: Path) -> None:
    volume = Volume(tmp_path)
    client = with_admin(volume)
    comfyui, gateway = await volume.comfyui(), await volume.gateway()
    lost, longest = [], 0.0
    try:
        for name, (act, check) in ACTS.items():
            answer = await act(client)
            answered = time.monotonic()
            gateway.kill()
            longest = max(longest, time.monotonic() - answered)
            assert answer.is_success, answer.text
            await kill(gateway)
            gateway = await volume.gateway()
            if not await check(client, answer.json()):
                lost.append(name)
    finally:
        await client.aclose()
        await kill(gateway, comfyui)
    sys.stderr.write(f"\n{len(ACTS)} answers, each killed within {longest * 1000:.1f} ms: lost {len(lost)} {lost}\n")
    assert lost == []
