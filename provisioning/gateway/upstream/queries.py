"""Queries of ComfyUI's queue and history: a malformed response is an error, never an empty result.

A job in neither of them counts as lost and is run again, so that a malformed response must not count as an empty one.
"""

from __future__ import annotations

from typing import Any

from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.upstream.client import ComfyUIClient

QUEUES = ("queue_running", "queue_pending")

Queue = dict[str, list[list[Any]]]
"""Each entry begins with a number and a job's id."""


async def queue(upstream: ComfyUIClient) -> Queue:
    """Return ComfyUI's queue, of all users; raises Problem, UPSTREAM_ERROR for a malformed response."""
    answer = await upstream.get_json("/queue")
    if not isinstance(answer, dict):
        raise Problem(Code.UPSTREAM_ERROR)
    found = {name: answer.get(name) for name in QUEUES}
    if not all(isinstance(items, list) and all(map(_is_entry, items)) for items in found.values()):
        raise Problem(Code.UPSTREAM_ERROR)
    return {name: list(items or []) for name, items in found.items()}


def _is_entry(item: object) -> bool:
    return isinstance(item, list) and len(item) > 1 and isinstance(item[1], str)


async def history_entry(upstream: ComfyUIClient, job_id: str) -> Any:  # noqa: ANN401 - any JSON
    """Return ComfyUI's history entry of a job, None when there is none; raises Problem, UPSTREAM_ERROR if malformed."""
    answer = await upstream.get_json(f"/history/{job_id}")
    if not isinstance(answer, dict):
        raise Problem(Code.UPSTREAM_ERROR)
    return answer.get(job_id)
