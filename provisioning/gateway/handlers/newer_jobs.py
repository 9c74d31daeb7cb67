"""ComfyUI's newer way to look at jobs and to end them, /api/jobs: the caller's own, from the gateway's record."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from provisioning.gateway.handlers.acting import end_anothers
from provisioning.gateway.jobs.job import JobState
from provisioning.gateway.jobs.records import HISTORY_LIMIT
from provisioning.gateway.jobs.rows import JobRecord
from provisioning.gateway.problems import Code, Problem, fault
from provisioning.gateway.services import Services, visible_owner
from provisioning.gateway.v2.jobs import find
from provisioning.gateway.web.exchange import Exchange

STATUSES: Mapping[JobState, str] = {
    JobState.ACCEPTED: "pending",
    JobState.DISPATCHING: "pending",
    JobState.QUEUED: "pending",
    JobState.RUNNING: "in_progress",
    JobState.COMPLETED: "completed",
    JobState.FAILED: "failed",
    JobState.REJECTED: "failed",
    JobState.CANCELLED: "cancelled",
}
"""ComfyUI's word for each of our states."""

MOST_JOBS = HISTORY_LIMIT
"""How far back the list goes; older jobs are found by id."""

Key = Callable[[JobRecord], int]
_SORTS: Mapping[str, Key] = {
    "created_at": lambda row: row.submitted_at,
    "execution_duration": lambda row: (row.finished_at or 0) - (row.started_at or 0) if row.finished_at else 0,
}


async def page(services: Services, exchange: Exchange) -> None:
    """Answer with the caller's jobs, filtered, sorted and in pages; newest first unless asked otherwise."""
    wanted, key, falling = _statuses(exchange), _sort(exchange), _choice(exchange, "sort_order", ("desc", "asc"))
    limit, offset = _number(exchange, "limit", MOST_JOBS, least=1), _number(exchange, "offset", 0, least=0)
    rows = await services.ledger.recent(visible_owner(exchange.who), MOST_JOBS)
    rows = sorted((row for row in rows if STATUSES[row.state] in wanted), key=key, reverse=falling == "desc")
    part = rows[offset : offset + limit]
    pages = {"offset": offset, "limit": limit, "total": len(rows), "has_more": offset + len(part) < len(rows)}
    await exchange.send_json({"jobs": [_summary(row) for row in part], "pagination": pages})


def _statuses(exchange: Exchange) -> set[str]:
    known = set(STATUSES.values())
    wanted = {word.strip().lower() for word in exchange.query.get("status", "").split(",") if word.strip()}
    if not wanted <= known:
        raise _refused("status", f"some of {', '.join(sorted(known))}")
    return wanted or known


def _sort(exchange: Exchange) -> Key:
    return _SORTS[_choice(exchange, "sort_by", tuple(_SORTS))]


def _choice(exchange: Exchange, name: str, choices: tuple[str, ...]) -> str:
    given = exchange.query.get(name, choices[0]).lower()
    if given not in choices:
        raise _refused(name, f"one of {', '.join(choices)}")
    return given


def _number(exchange: Exchange, name: str, default: int, *, least: int) -> int:
    text = exchange.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= least):
        raise _refused(name, f"a whole number from {least}")
    return int(text)


def _refused(name: str, form: str) -> Problem:
    return Problem(Code.INVALID_REQUEST, f"{name}: {form}.", members=fault(name, "out of range"))


async def show(services: Services, exchange: Exchange) -> None:
    """Answer with a job, its workflow and what it made."""
    row = await find(services, exchange, exchange.params["id"])
    history = _history(row)
    details = {"outputs": history.get("outputs") or {}, "execution_status": history.get("status")}
    workflow = {"prompt": orjson.loads(row.workflow) if row.workflow else {}, "extra_data": {}}
    await exchange.send_json(_summary(row) | (details if row.finished_at else {}) | {"workflow": workflow})


async def cancel(services: Services, exchange: Exchange) -> None:
    """End a job wherever it is; like ComfyUI, says no more of one that is not there than that nothing was ended."""
    await exchange.send_json({"cancelled": await _ended(services, exchange, exchange.params["id"])})


async def cancel_several(services: Services, exchange: Exchange) -> None:
    """End several jobs; refuses all of them when one id is malformed."""
    body = await exchange.json(services.settings.max_body_bytes)
    ids = body.get("job_ids")
    if not isinstance(ids, list) or not all(map(_is_id, ids)):
        raise _refused("job_ids", "a list of job ids")
    ended = [await _ended(services, exchange, job_id) for job_id in dict.fromkeys(ids)]
    await exchange.send_json({"cancelled": any(ended)})


def _is_id(text: object) -> bool:
    try:
        return isinstance(text, str) and str(uuid.UUID(text)) == text
    except ValueError:
        return False


async def _ended(services: Services, exchange: Exchange, job_id: str) -> bool:
    live = services.tracker.get(job_id)
    if live is None or visible_owner(exchange.who) not in {None, live.owner}:
        return False
    await end_anothers(services, exchange, [live])
    # Goes through with it even when the caller hangs up meanwhile.
    await asyncio.shield(services.canceller.cancel(live))
    return True


def _history(row: JobRecord) -> dict[str, Any]:
    history: dict[str, Any] = orjson.loads(row.history) if row.history else {}
    return history


def _summary(row: JobRecord) -> dict[str, Any]:
    history = _history(row)
    events = dict((history.get("status") or {}).get("messages") or [])
    files = _files(history.get("outputs") or {})
    told = {
        "id": row.id,
        "status": STATUSES[row.state],
        "priority": row.sequence,
        "create_time": row.submitted_at,
        "execution_start_time": row.started_at,
        "execution_end_time": row.finished_at,
        "execution_error": events.get("execution_error"),
        "outputs_count": len(files),
        "previewable_outputs_count": len(files),
        # What was saved rather than what was only shown, where there is both.
        "preview_output": min(files, key=lambda item: item.get("type") != "output", default=None),
    }
    return {name: value for name, value in told.items() if value is not None}


def _files(outputs: Mapping[str, Any]) -> list[dict[str, Any]]:
    lists = ((node, kind, items) for node, output in outputs.items() for kind, items in output.items())
    return [
        item | {"nodeId": node, "mediaType": kind}
        for node, kind, items in lists
        for item in (items if isinstance(items, list) else ())
        if isinstance(item, dict) and "filename" in item
    ]
