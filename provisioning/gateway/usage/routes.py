"""The operations that show usage and quotas."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from starlette.responses import Response

from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.http.operation import ANY_MEDIA, Answer, Operation, Tag
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.core.time_units import DAY_MS
from provisioning.gateway.usage import queries as usage_queries
from provisioning.gateway.usage.accounting import Accounting
from provisioning.gateway.usage.schemas import Quotas, Usage, UsageEventsQuery, UsageQuery, UsageRow

SumJobs = Callable[[str | None, int], Awaitable[Sequence[Mapping[str, Any]]]]
"""Sums up jobs of an owner, or of everybody for None, since a time in milliseconds, by key and state."""

USAGE = {
    "since": 1767225600000,
    "rows": [{"key_id": "4fPq9sZ1", "state": "completed", "jobs": 12, "gpu_ms": 98400, "usd_micros": 18860}],
    "period": "day",
    "periods": [
        {
            "starts_at": 1767225600000,
            "owner": "discord",
            "key_id": "4fPq9sZ1",
            "jobs": 12,
            "gpu_seconds": 98.4,
            "images": 12,
            "bytes": 0,
            "usd": 0.01886,
        }
    ],
}
QUOTAS = {
    "owner": "discord",
    "key_id": "4fPq9sZ1",
    "quotas": [
        {
            "name": "user-jobs-day",
            "subject": "user",
            "unit": "jobs",
            "period": "day",
            "limit": 100,
            "used": 12,
            "reserved": 1,
            "remaining": 87,
            "starts_at": 1767225600000,
            "ends_at": 1767312000000,
        }
    ],
}
_FORMATS = {
    "jsonl": (usage_queries.as_jsonl, "application/jsonl"),
    "csv": (usage_queries.as_csv, "text/csv; charset=utf-8"),
}


class UsageRoutes:
    """Shows callers their usage and quotas, and exports usage events for billing."""

    def __init__(self, accounting: Accounting, sum_jobs: SumJobs, clock: Clock) -> None:
        self._accounting = accounting
        self._sum_jobs = sum_jobs
        self._clock = clock

    @Operation(
        method="GET",
        path="/api/gateway/usage",
        access=Scope.READ,
        tag=Tag.GATEWAY,
        summary="Show usage",
        text="`rows` count jobs by submission time, `periods` by end time, in UTC. An admin sees all users' usage.",
        query=UsageQuery,
        answers=(Answer("Usage by key and state, and by day or month.", Usage, USAGE),),
    )
    async def show(self, request: GatewayRequest, query: UsageQuery) -> Usage:
        """Show the caller's usage of the last days, or everybody's for an admin."""
        since, owner = self._clock.now_ms() - query.days * DAY_MS, request.who.visible_owner
        return Usage(
            since=since,
            rows=[UsageRow(**row) for row in await self._sum_jobs(owner, since)],
            period=query.period,
            periods=await self._accounting.by_period(owner, since, query.period),
        )

    @Operation(
        method="GET",
        path="/api/gateway/usage/events",
        access=Scope.ADMIN,
        tag=Tag.OPERATIONS,
        summary="Export usage for billing",
        text="One event per measure of each job and upload: `sequence`, `identifier`, `event_name` (`jobs`, `gpu_ms`, "
        "`images`, `bytes` or `usd_micros`), `timestamp` (seconds, when the work ended), `value`, `owner`, `key_id`, "
        "`job_id`. Begin with `after=0` and continue with the last `sequence` read: events are never changed or "
        "deleted. Use `identifier` to count an event once; with `event_name`, `timestamp` and `value` it forms a "
        "meter event of Stripe.",
        query=UsageEventsQuery,
        answers=(Answer("One event per line, oldest first.", media=ANY_MEDIA),),
    )
    async def export(self, request: GatewayRequest, query: UsageEventsQuery) -> Response:  # noqa: ARG002 - the form of a handler
        """Answer with usage events after a sequence number, oldest first."""
        render, media = _FORMATS[query.format]
        rows = await self._accounting.events(query.after, query.limit)
        return Response(render(rows), media_type=media)

    @Operation(
        method="GET",
        path="/api/gateway/quotas",
        access=Scope.READ,
        tag=Tag.GATEWAY,
        summary="Show quotas",
        text="A job counts in the day and month (UTC) in which it was accepted.",
        answers=(Answer("The quotas of the key and of its user.", Quotas, QUOTAS),),
    )
    async def quotas(self, request: GatewayRequest) -> Quotas:
        """Show the quotas of the caller's user and key with their balances."""
        states = await self._accounting.quota_states(request.who)
        return Quotas(owner=request.who.owner, key_id=request.who.key_id, quotas=states)
