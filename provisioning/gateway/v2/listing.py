"""Lists of the Comfy API v2: pages of the caller's jobs, by status and by label."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from provisioning.gateway.jobs.job import JobState
from provisioning.gateway.jobs.rows import JobRecord
from provisioning.gateway.problems import Code, Problem, fault
from provisioning.gateway.services import Services, visible_owner
from provisioning.gateway.v2 import documents
from provisioning.gateway.v2.jobs import view
from provisioning.gateway.web.exchange import Exchange

DEFAULT_LIMIT = 50
MAX_LIMIT = 100
"""The contract's own figures."""

MAX_SCANNED = 500
"""Jobs that are looked at for one page: a filter that fits few goes on with the next page."""

_STATES: Mapping[str, frozenset[JobState]] = {
    "queued": frozenset({JobState.ACCEPTED, JobState.DISPATCHING, JobState.QUEUED}),
    "running": frozenset({JobState.RUNNING}),
    "canceling": frozenset({JobState.RUNNING}),
    "succeeded": frozenset({JobState.COMPLETED}),
    "failed": frozenset({JobState.FAILED, JobState.REJECTED}),
    "canceled": frozenset({JobState.CANCELLED}),
    # The contract's word for jobs whose server has lost them; ours are never lost.
    "expired": frozenset(),
}
_LABEL = re.compile(r"metadata\[(.+)\]")


@dataclass(frozen=True)
class Filter:
    """Which jobs are asked for."""

    statuses: frozenset[str]
    labels: Mapping[str, str]

    @property
    def states(self) -> frozenset[JobState]:
        """Return the states that jobs of these statuses are in."""
        return frozenset[JobState]().union(*(_STATES[status] for status in self.statuses))

    def fits(self, row: JobRecord) -> bool:
        """Return whether a job is asked for."""
        status = documents.status(row.state, cancelling=bool(row.cancel_requested))
        label = orjson.loads(row.label) if row.label else None
        known = label.items() if isinstance(label, dict) else ()
        return status in self.statuses and set(self.labels.items()) <= set(known)


async def page(services: Services, exchange: Exchange) -> None:
    """Answer with the caller's jobs, newest first; `cursor` continues a former page."""
    limit, before = _whole(exchange, "limit", DEFAULT_LIMIT, MAX_LIMIT), _whole(exchange, "cursor", 2**53, 2**53)
    wanted, owner = _filter(exchange), visible_owner(exchange.who)
    found: list[JobRecord] = []
    scanned, more = 0, True
    while more and len(found) < limit and scanned < MAX_SCANNED:
        count = limit - len(found)
        rows = await services.ledger.rows(owner, before=before, limit=count, states=wanted.states)
        found += [row for row in rows if wanted.fits(row)]
        scanned, more = scanned + len(rows), len(rows) == count
        before = rows[-1].sequence if rows else before
    jobs = await _documents(services, exchange, found)
    cut = more and len(found) < limit
    await exchange.send_json({"jobs": jobs, "next_cursor": str(before) if more else None, "truncated": cut})


async def _documents(services: Services, exchange: Exchange, rows: Sequence[JobRecord]) -> list[dict[str, Any]]:
    forecasts = services.scheduler.forecasts()
    made = await services.assets.of_jobs([row.id for row in rows if row.state is JobState.COMPLETED])
    views = [await view(services, exchange, row, forecasts, made.get(row.id, ())) for row in rows]
    return [documents.job(row, found) for row, found in zip(rows, views, strict=True)]


def _filter(exchange: Exchange) -> Filter:
    words = {word.strip() for word in exchange.query.get("status", "").split(",") if word.strip()}
    if not words <= _STATES.keys():
        message = f"status: some of {', '.join(_STATES)}."
        raise Problem(Code.INVALID_REQUEST, message, members=fault("status", "unknown"))
    labels = {match[1]: value for name, value in exchange.query.items() if (match := _LABEL.fullmatch(name))}
    return Filter(frozenset(words or _STATES), labels)


def _whole(exchange: Exchange, name: str, default: int, most: int) -> int:
    text = exchange.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 17 and 0 < int(text) <= most):
        message = f"{name}: a whole number from 1 to {most}."
        raise Problem(Code.INVALID_REQUEST, message, members=fault(name, "out of range"))
    return int(text)
