"""Observers of jobs get the same notifications in any order of construction and registration."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.unit.gateway.conftest import Gate, finish, submit
from tests.unit.gateway.event_stream_client import open_event_stream

COUNT = 3


def test_the_number_of_observers_matches_the_permutations(gate: Gate) -> None:
    assert len(gate.app.services.tracker.observers) == COUNT


@pytest.mark.parametrize("order", list(itertools.permutations(range(COUNT))), ids=str)
async def test_the_order_of_observers_does_not_matter(gate: Gate, port: int, order: tuple[int, ...]) -> None:
    observers = gate.app.services.tracker.observers
    observers[:] = [observers[place] for place in order]
    async with open_event_stream(port, gate.keyring.alice, "/api/gateway/events?types=job_status,job_output") as alice:
        await alice.until("snapshot")
        jobs = [await submit(gate.alice), await submit(gate.alice)]
        for job in jobs:
            await finish(gate, job)
            await alice.until("job_status", job_id=job, status="succeeded")
    statuses: dict[str, list[Any]] = {job: [] for job in jobs}
    for frame in alice.seen:
        if frame.name == "job_status" and frame.data["status"] not in statuses[frame.data["job_id"]][-1:]:
            statuses[frame.data["job_id"]].append(frame.data["status"])
    assert list(statuses.values()) == [["queued", "running", "succeeded"]] * 2
    assert [frame.data["job_id"] for frame in alice.seen if frame.name == "job_output"] == jobs
