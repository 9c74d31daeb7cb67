"""`execution_error` events for jobs whose end ComfyUI did not report, in the form in which ComfyUI reports errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from provisioning.gateway.core.problems import Problem
from provisioning.gateway.jobs import failure_codes
from provisioning.gateway.jobs.job import Job, JobOutcome, JobState

MAX_FAULTS = 5
"""Most node errors in the message; `node_errors` contains all of them."""


def error_of(job: Job, outcome: JobOutcome) -> dict[str, Any] | None:
    """Return the data of the `execution_error` for a failure that ComfyUI did not report; None for other jobs."""
    if outcome.history is not None or outcome.state not in {JobState.FAILED, JobState.REJECTED}:
        return None
    problem = job.refusal if outcome.state is JobState.REJECTED else None
    nodes = _node_errors(problem)
    node_id = next(iter(nodes), "")
    reason = outcome.error or failure_codes.EXECUTION_ERROR
    node = job.graph.get(node_id) or {}
    return {
        "prompt_id": job.id,
        "node_id": node_id,
        "node_type": node.get("class_type", ""),
        "executed": [],
        "exception_type": reason,
        "exception_message": _text(reason, problem, nodes),
        "traceback": [],
        "current_inputs": {},
        "current_outputs": [],
        "node_errors": nodes,
        "timestamp": outcome.finished_at,
    }


def history_of(job: Job, error: dict[str, Any]) -> dict[str, Any]:
    """Return the history entry of a job that ended with such an error."""
    return {
        "prompt": [0, job.id, job.graph, {"client_id": job.client_id}, []],
        "outputs": {},
        "status": {"status_str": "error", "completed": False, "messages": [["execution_error", error]]},
        "meta": {},
    }


def _node_errors(problem: Problem | None) -> dict[str, Any]:
    given = problem.members.get("node_errors") if problem is not None else None
    return given if isinstance(given, dict) else {}


def _text(reason: str, problem: Problem | None, nodes: dict[str, Any]) -> str:
    said = problem.detail if problem is not None else failure_codes.TEXTS.get(reason, "The job failed.")
    faults = [fault for _, fault in zip(range(MAX_FAULTS), _faults(nodes), strict=False)]
    return "\n".join([said, *faults])


def _faults(nodes: dict[str, Any]) -> Iterator[str]:
    for node_id, node in nodes.items():
        reported = node.get("errors") if isinstance(node, dict) else None
        for error in reported if isinstance(reported, list) else ():
            if isinstance(error, dict):
                yield f"Node {node_id}: {error.get('message', '')} ({error.get('details', '')})"
