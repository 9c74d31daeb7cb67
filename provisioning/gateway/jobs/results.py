"""How a job ended, read from ComfyUI's history entry of it."""

from __future__ import annotations

from typing import Any

from provisioning.gateway.jobs import failure_codes
from provisioning.gateway.jobs.job import Job, JobOutcome, JobState, OutputFile
from provisioning.gateway.upstream.owner_namespace import OwnerNamespace, files_in
from provisioning.gateway.upstream.stored_file import StoredFile

_MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What reading something that is not of the form it should be raises."""

MAX_FILES = 500
"""Most files of one job that are its results: what a batch of the largest size makes, and some."""

LATEST_MS = 10**14
"""The year 5138: what is beyond is no time."""


def finished_outcome(job: Job, entry: object, namespace: OwnerNamespace, now: int) -> JobOutcome:
    """Return how a job ended, from ComfyUI's history entry of it.

    An entry that cannot be read is an end as well, and never a success: ComfyUI has nothing else to say of the job,
    which would otherwise wait for ever. The time until now counts as used.
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
    """Return a time in milliseconds; None for what is none."""
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    return int(given) if is_number and 0 < given < LATEST_MS else None  # type: ignore[operator, call-overload]


def made_by(job: Job, outputs: dict[str, Any], namespace: OwnerNamespace) -> tuple[OutputFile, ...]:
    """Return the files that a job's outputs name and that it could have made, MAX_FILES of them at most."""
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
    # By the time it took as well: a former process may have been the one that stopped it.
    overdue = job.interrupted_at is not None or 0 < job.timeout_ms <= gpu_ms
    return overdue and not job.cancel_requested


def _history(job: Job, entry: dict[str, Any], namespace: OwnerNamespace) -> dict[str, Any]:
    prompt = entry.get("prompt") or []
    number, targets = (prompt[0], prompt[4]) if len(prompt) > 4 else (0, [])
    # The client's own graph, not ComfyUI's copy: that one has our names in it.
    return {
        "prompt": [number, job.id, job.graph, {"client_id": job.client_id}, targets],
        "outputs": namespace.clean(entry.get("outputs") or {}),
        "status": namespace.clean(entry.get("status") or {}),
        "meta": namespace.clean(entry.get("meta") or {}),
    }


def failed_history(history: dict[str, Any], reason: str) -> dict[str, Any]:
    """Return ComfyUI's record of a job that ran, as that of one that failed afterwards and has no files."""
    status = history.get("status") or {}
    told = [message for message in status.get("messages") or [] if message[0] != "execution_success"]
    error = {"exception_type": reason, "exception_message": failure_codes.TEXTS[reason], "node_id": "", "node_type": ""}
    messages = [*told, ["execution_error", error]]
    return history | {"outputs": {}, "status": {"status_str": "error", "completed": False, "messages": messages}}
