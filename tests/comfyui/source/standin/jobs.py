"""Jobs in the form of /api/jobs: the same for waiting, running and finished ones."""

from __future__ import annotations

import uuid
from typing import Any

from .prompt_queue import PromptQueue

STATUSES = ("pending", "in_progress", "completed", "failed", "cancelled")

_ENDINGS = {"execution_success": "completed", "execution_error": "failed", "execution_interrupted": "cancelled"}

Job = dict[str, Any]


def check_id(value: object) -> str:
    """Return a job id that is a UUID in canonical form; raises ValueError for anything else."""
    if not isinstance(value, str) or str(uuid.UUID(value)) != value:
        raise ValueError("job id must be a UUID in canonical lowercase hyphenated form")
    return value


def all_jobs(queue: PromptQueue) -> list[Job]:
    """Return every job without its workflow."""
    running, waiting = queue.current()
    return [
        *(_unfinished(item, "in_progress") for item in running),
        *(_unfinished(item, "pending") for item in waiting),
        *(_finished(entry) for entry in queue.history().values()),
    ]


def one_job(queue: PromptQueue, job_id: str) -> Job | None:
    """Return one job with workflow and outputs, or None where nobody knows it."""
    # The queue before the history: a job that ends between the two is found in the second.
    running, waiting = queue.current()
    for entry in queue.history(job_id).values():
        details = {"outputs": entry["outputs"], "execution_status": entry["status"]}
        return _finished(entry) | details | {"workflow": _workflow(entry["prompt"])}
    for items, status in ((running, "in_progress"), (waiting, "pending")):
        for item in items:
            if item[1] == job_id:
                return _unfinished(item, status) | {"workflow": _workflow(item)}
    return None


def cancel(queue: PromptQueue, job_id: str) -> bool:
    """End a job wherever it is; returns whether there was anything to end."""
    return queue.interrupt_if_running(job_id) or queue.delete(job_id) or queue.interrupt_if_running(job_id)


def _unfinished(item: tuple[Any, ...], status: str) -> Job:
    return _without_nothing(
        {
            "id": item[1],
            "status": status,
            "priority": item[0],
            "create_time": item[3].get("create_time"),
            "outputs_count": 0,
            "previewable_outputs_count": 0,
            "workflow_id": _workflow_id(item[3]),
        }
    )


def _finished(entry: dict[str, Any]) -> Job:
    number, job_id, _, extra_data, _ = entry["prompt"]
    events = dict(entry["status"]["messages"])
    ending = next((name for name in _ENDINGS if name in events), None)
    items = _items(entry["outputs"])
    return _without_nothing(
        {
            "id": job_id,
            "status": _ENDINGS.get(ending or "", "completed"),
            "priority": number,
            "create_time": extra_data.get("create_time"),
            "execution_start_time": events.get("execution_start", {}).get("timestamp"),
            "execution_end_time": events[ending]["timestamp"] if ending else None,
            "execution_error": events.get("execution_error"),
            "outputs_count": len(items),
            "previewable_outputs_count": len(items),
            "preview_output": min(items, key=lambda item: item["type"] != "output", default=None),
            "workflow_id": _workflow_id(extra_data),
        }
    )


def _items(outputs: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        item | {"nodeId": node_id, "mediaType": media_type}
        for node_id, output in outputs.items()
        for media_type, items in output.items()
        for item in items
        if isinstance(item, dict)
    ]


def _workflow(item: tuple[Any, ...]) -> dict[str, Any]:
    return {"prompt": item[2], "extra_data": item[3]}


def _workflow_id(extra_data: dict[str, Any]) -> str | None:
    workflow_id: str | None = extra_data.get("extra_pnginfo", {}).get("workflow", {}).get("id")
    return workflow_id


def _without_nothing(job: Job) -> Job:
    return {name: value for name, value in job.items() if value is not None}
