"""The outcome of a job, from ComfyUI's history entry."""

from __future__ import annotations

from typing import Any

from provisioning.gateway.jobs import failure_codes
from provisioning.gateway.jobs.job import Job, JobOutcome, JobState, OutputFile
from provisioning.gateway.upstream.owner_namespace import OwnerNamespace, files_in
from provisioning.gateway.upstream.stored_file import StoredFile

_MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""Errors that reading a malformed entry may raise."""

MAX_FILES = 500
"""Most output files of one job: more than the largest image batch makes."""

LATEST_MS = 10**14
"""The year 5138; larger numbers are not times."""


def finished_outcome(job: Job, entry: object, namespace: OwnerNamespace, now: int) -> JobOutcome:
    """Return the outcome of a job, from ComfyUI's history entry.

    A malformed entry counts as a failure: ComfyUI has no other information about the job, which would otherwise wait
    forever. The time until now counts as used.
    """
    try:
        return _outcome(job, entry, namespace, now)
    except _MALFORMED:
        gpu_ms = max(0, now - job.started_at) if job.started_at else 0
        return JobOutcome(
            JobState.FAILED, job.started_at, now, gpu_ms, _history(job, {}, namespace), failure_codes.UNREADABLE
        )


def _outcome(job: Job, entry: object, namespace: OwnerNamespace, now: int) -> JobOutcome:
    if not isinstance(entry, dict):
        raise TypeError
    status = entry["status"]
    events = {name: data for name, data in status.get("messages") or [] if isinstance(data, dict)}
    state, error, last = _verdict(status, events)
    started = _moment(events.get("execution_start", {}).get("timestamp")) or job.started_at
    ended = _moment(last.get("timestamp")) or now
    gpu_ms = max(0, ended - started) if started else 0
    if state is JobState.CANCELLED and _ran_out_of_time(job, gpu_ms):
        state, error = JobState.FAILED, failure_codes.JOB_TIMEOUT
    outputs = entry.get("outputs") or {}
    return JobOutcome(
        state, started, ended, gpu_ms, _history(job, entry, namespace), error, made_by(job, outputs, namespace)
    )


def _moment(given: object) -> int | None:
    """Return a time in milliseconds; None when it is not a plausible time."""
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    return int(given) if is_number and 0 < given < LATEST_MS else None  # type: ignore[operator, call-overload]


def made_by(job: Job, outputs: dict[str, Any], namespace: OwnerNamespace) -> tuple[OutputFile, ...]:
    """Return the files, MAX_FILES at most, that a job's outputs name and that the job could have made."""
    named = (OutputFile(node_id, file) for node_id, output in outputs.items() for file in files_in(output))
    made = (output for output in named if namespace.may_contain(output.file, job.id))
    found: dict[StoredFile, OutputFile] = {}
    for output in made:
        found.setdefault(output.file, output)
        if len(found) == MAX_FILES:
            break
    return tuple(found.values())


def _verdict(status: dict[str, Any], events: dict[str, Any]) -> tuple[JobState, str | None, dict[str, Any]]:
    if "execution_interrupted" in events:
        return JobState.CANCELLED, failure_codes.CANCELLED, events["execution_interrupted"]
    if "execution_error" in events or status.get("status_str") == "error":
        last = events.get("execution_error", {})
        return JobState.FAILED, failure_codes.of_error(last), last
    if "execution_success" not in events and status.get("status_str") != "success":
        raise ValueError
    return JobState.COMPLETED, None, events.get("execution_success", {})


def _ran_out_of_time(job: Job, gpu_ms: int) -> bool:
    # Also by the elapsed time: a former process may have interrupted the job.
    overdue = job.interrupted_at is not None or 0 < job.timeout_ms <= gpu_ms
    return overdue and not job.cancel_requested


def _history(job: Job, entry: dict[str, Any], namespace: OwnerNamespace) -> dict[str, Any]:
    prompt = entry.get("prompt") or []
    number, targets = (prompt[0], prompt[4]) if len(prompt) > 4 else (0, [])
    # The client's own graph: ComfyUI's copy contains rewritten names.
    return {
        "prompt": [number, job.id, job.graph, {"client_id": job.client_id}, targets],
        "outputs": namespace.clean(entry.get("outputs") or {}),
        "status": namespace.clean(entry.get("status") or {}),
        "meta": namespace.clean(entry.get("meta") or {}),
    }


def failed_history(history: dict[str, Any], reason: str) -> dict[str, Any]:
    """Return a history entry changed to a failure without files."""
    status = history.get("status") or {}
    kept = [message for message in status.get("messages") or [] if message[0] != "execution_success"]
    error = {"exception_type": reason, "exception_message": failure_codes.TEXTS[reason], "node_id": "", "node_type": ""}
    messages = [*kept, ["execution_error", error]]
    return history | {"outputs": {}, "status": {"status_str": "error", "completed": False, "messages": messages}}
