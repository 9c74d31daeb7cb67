"""What is read of ComfyUI's queue and history: forms that are not as they should be are errors, never absences.

A job that is in neither counts as lost and is run again, so a malformed answer must not count as an empty one.
"""

from __future__ import annotations

from typing import Any

from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.upstream.client import ComfyUIClient

QUEUES = ("queue_running", "queue_pending")

Queue = dict[str, list[list[Any]]]
"""Each entry has a number and a job's id, and more."""


async def queue(upstream: ComfyUIClient) -> Queue:
    """Return ComfyUI's queue, everybody's; raises Problem, UPSTREAM_ERROR for what is no queue."""
    answer = await upstream.get_json("/queue")
    if not isinstance(answer, dict):
        raise Problem(Code.UPSTREAM_ERROR)
    found = {name: answer.get(name) for name in QUEUES}
    if not all(isinstance(items, list) and all(map(_is_entry, items)) for items in found.values()):
        raise Problem(Code.UPSTREAM_ERROR)
    return {name: list(items or []) for name, items in found.items()}


def _is_entry(item: object) -> bool:
    return isinstance(item, list) and len(item) > 1 and isinstance(item[1], str)


async def history_entry(upstream: ComfyUIClient, job_id: str) -> Any:  # noqa: ANN401 - whatever ComfyUI keeps of it
    """Return what ComfyUI's history has of a job, None for nothing; raises Problem, UPSTREAM_ERROR for no history."""
    answer = await upstream.get_json(f"/history/{job_id}")
    if not isinstance(answer, dict):
        raise Problem(Code.UPSTREAM_ERROR)
    return answer.get(job_id)
