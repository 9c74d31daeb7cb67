"""Quotas and usage as clients and operators see them."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from tests.unit.gateway.conftest import Gate, finish, submit, taken, workflow
from tests.unit.gateway.fake import PNG


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {
        "quotas": {"jobs": {"day": 2}, "bytes": {"day": 2000}, "usd": {"month": 1}},
        "key_quotas": {"jobs": {"month": 10}},
    }


async def upload(gate: Gate, size: int = 0) -> int:
    files = {"image": ("a.png", PNG + b"\0" * size, "image/png")}
    answer = await gate.alice.post("/upload/image", files=files)
    return answer.status_code


async def quota(gate: Gate, name: str) -> dict[str, Any]:
    answer = await gate.alice.get("/api/gateway/quotas")
    assert answer.status_code == 200
    return next(row for row in answer.json()["quotas"] if row["name"] == name)


async def test_a_quota_from_its_first_job_to_the_next_day(gate: Gate) -> None:
    first, second = await submit(gate.alice), await submit(gate.alice)
    assert (await quota(gate, "user-jobs-day"))["reserved"] == 2
    refused = await gate.alice.post("/prompt", json={"prompt": workflow()})
    assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
    assert refused.json()["violated-policies"] == ["user-jobs-day"]
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    assert gate.app.services.tracker.of_owner("alice")[-1].id == second
    await finish(gate, first)
    row = await quota(gate, "user-jobs-day")
    assert (row["used"], row["reserved"], row["remaining"]) == (1, 1, 0)
    assert (await gate.alice.post("/queue", json={"delete": [second]})).status_code == 200
    third = await submit(gate.alice)
    await finish(gate, third)
    assert (await gate.bob.post("/prompt", json={"prompt": workflow()})).status_code == 200
    gate.clock.advance(int(refused.headers["retry-after"]))
    await submit(gate.alice)


async def test_an_exhausted_money_quota_is_402_with_the_comfy_apis_code(gate: Gate) -> None:
    services = gate.app.services
    object.__setattr__(services.settings, "quotas", {"usd": {"month": 0.0}})
    answer = await gate.alice.post("/api/v2/jobs", json={"workflow": workflow()})
    assert (answer.status_code, answer.json()["code"]) == (402, "quota_exhausted")
    assert answer.json()["error"]["code"] == "insufficient_credits"
    assert "retry-after" in answer.headers


async def test_uploads_reserve_bytes_and_count_only_if_stored(gate: Gate) -> None:
    assert await upload(gate) == 200
    used = (await quota(gate, "user-bytes-day"))["used"]
    assert used >= len(PNG)
    answer = await gate.alice.post("/upload/image", files={"image": ("a.exe", b"MZ", "image/png")})
    assert answer.status_code == 415
    row = await quota(gate, "user-bytes-day")
    assert (row["used"], row["reserved"]) == (used, 0)
    assert await upload(gate, 2000) == 429


async def test_usage_by_day_and_for_billing(gate: Gate) -> None:
    job = await submit(gate.alice)
    await finish(gate, job)
    await upload(gate)
    mine = (await gate.alice.get("/api/gateway/usage?period=month")).json()["periods"]
    assert len(mine) == 1
    assert (mine[0]["owner"], mine[0]["jobs"], mine[0]["gpu_seconds"] > 0) == ("alice", 1, True)
    assert (await gate.bob.get("/api/gateway/usage")).json()["periods"] == []
    assert (await gate.alice.get("/api/gateway/usage/events")).status_code == 403
    lines = (await gate.admin.get("/api/gateway/usage/events")).text.splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["identifier"] for event in events[:2]] == [f"{job}:jobs", f"{job}:gpu_ms"]
    rest = await gate.admin.get(f"/api/gateway/usage/events?format=csv&after={events[0]['sequence']}")
    assert rest.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(rest.text)))
    assert [row["identifier"] for row in rows] == [event["identifier"] for event in events[1:]]
    assert {row["event_name"] for row in rows} >= {"gpu_ms", "bytes"}


@pytest.mark.parametrize("query", ["period=year", "days=0", "days=x"])
async def test_invalid_usage_queries_are_refused(gate: Gate, query: str) -> None:
    answer = await gate.alice.get(f"/api/gateway/usage?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


async def test_a_job_refused_by_comfyui_is_free(gate: Gate) -> None:
    gate.comfy.prompt_answer = (
        400,
        {"error": {"type": "x", "message": "no", "details": "", "extra_info": {}}, "node_errors": {}},
    )
    for _ in range(3):
        answer = await gate.alice.post("/prompt", json={"prompt": workflow()})
        assert answer.json()["code"] == "invalid_workflow"
    gate.comfy.prompt_answer = None
    await taken(gate, await submit(gate.alice))
