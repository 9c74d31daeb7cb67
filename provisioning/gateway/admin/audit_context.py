"""Records the changes that requests make in the audit log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from provisioning.gateway.admin import audit
from provisioning.gateway.admin.audit import AuditAction, AuditContext
from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.database.database import Database
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.http.request_checks import peer

MAX_NAMED = 100
"""How many jobs one entry names; `count` is the number of all."""


def context_of(request: GatewayRequest) -> AuditContext:
    """Return the caller of a request, its address and the request's id."""
    return AuditContext(request.who, peer(request.scope), request.request_id)


class OwnedJob(Protocol):
    """A job with its owner."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def owner(self) -> str: ...  # noqa: D102


class AuditTrail:
    """Records changes before they are made: a change that cannot be recorded is not made.

    Every method raises Problem(STORE_UNAVAILABLE).
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def note(self, request: GatewayRequest, act: AuditAction, target: str, **detail: object) -> None:
        """Record an action."""
        await audit.note(self._database, context_of(request), act, target, self._clock.now_ms(), detail)

    async def on_anothers(self, request: GatewayRequest, act: AuditAction, target: str, owner: str) -> None:
        """Record an action on another user's resource; does nothing for the caller's own."""
        if owner != request.who.owner:
            await self.note(request, act, target, owner=owner)

    async def end_anothers(self, request: GatewayRequest, jobs: Iterable[OwnedJob]) -> None:
        """Record the cancellation of other users' jobs; the caller's own are left out."""
        others = [job for job in jobs if job.owner != request.who.owner]
        if len(others) == 1:
            await self.note(request, AuditAction.JOBS_ENDED, others[0].id, owner=others[0].owner)
        elif others:
            named = {job.id: job.owner for job in others[:MAX_NAMED]}
            await self.note(request, AuditAction.JOBS_ENDED, "jobs", count=len(others), jobs=named)
