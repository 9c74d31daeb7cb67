"""Bodies with very many faults: a short refusal, at once."""

from __future__ import annotations

import time

import httpx
import pytest

from tests.unit.gateway.conftest import Gate

MANY = 50_000


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/queue", {"delete": [1] * MANY}),
        ("/history", {"delete": [1] * MANY}),
        ("/api/jobs/cancel", {"job_ids": [""] * MANY}),
        ("/api/gateway/batches", {"workflow": {}, "inputs": [1] * MANY}),
        ("/api/gateway/batches", {"workflow": {}, "inputs": [{str(number): 1 for number in range(MANY)}]}),
    ],
)
async def test_a_list_of_faults_is_refused_shortly(gate: Gate, path: str, body: dict[str, object]) -> None:
    _is_short(await gate.alice.post(path, json=body))


async def test_a_stranger_who_sends_unknown_members_gets_a_short_answer(gate: Gate) -> None:
    body = {f"{number:x}": 0 for number in range(5000)}
    began = time.process_time()
    answer = await gate.client(None).post("/api/gateway/login", json=body)
    assert time.process_time() - began < 1
    _is_short(answer)
    assert "faults" in answer.json()["detail"]


def _is_short(answer: httpx.Response) -> None:
    assert answer.status_code in {400, 422}
    assert len(answer.content) < 2000
