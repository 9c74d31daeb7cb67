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
"""Sums up an owner's jobs since a time in milliseconds, by key and state; everybody's for no owner."""

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
    """Shows callers their usage and quotas, and exports usage events for bills."""

    def __init__(self, accounting: Accounting, sum_jobs: SumJobs, clock: Clock) -> None:
        self._accounting = accounting
        self._sum_jobs = sum_jobs
        self._clock = clock

    @Operation(
        method="GET",
        path="/api/gateway/usage",
        access=Scope.READ,
        tag=Tag.GATEWAY,
        summary="Sum up usage",
        text="`rows` are by the time of submission, `periods` by that of the end, in UTC.",
        query=UsageQuery,
        answers=(Answer("By key and state, and by day or month; an admin's are everybody's.", Usage, USAGE),),
    )
    async def show(self, request: GatewayRequest, query: UsageQuery) -> Usage:
        """Sum up the caller's usage of the last days; an admin's is everybody's."""
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
        text="What each job and upload took of each measure: `sequence`, `identifier`, `event_name` (`jobs`, `gpu_ms`, "
        "`images`, `bytes` or `usd_micros`), `timestamp` (seconds, when the work ended), `value`, `owner`, `key_id`, "
        "`job_id`. Begin with `after=0` and go on with the last `sequence` read: events are only ever added. The "
        "`identifier` is the same for ever, so that a bill counts it once; it makes a meter event of Stripe's, with "
        "`event_name`, `timestamp` and `value`.",
        query=UsageEventsQuery,
        answers=(Answer("One event per line, the oldest first.", media=ANY_MEDIA),),
    )
    async def export(self, request: GatewayRequest, query: UsageEventsQuery) -> Response:  # noqa: ARG002 - the form of a handler
        """Answer with usage events, the oldest first, from after the one whose sequence number is given."""
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
        answers=(Answer("Every quota that holds for the key and its user.", Quotas, QUOTAS),),
    )
    async def quotas(self, request: GatewayRequest) -> Quotas:
        """Show every quota that holds for the caller's user and key, with its balance."""
        states = await self._accounting.quota_states(request.who)
        return Quotas(owner=request.who.owner, key_id=request.who.key_id, quotas=states)
