"""Who acts, for the audit log, and what is written into it of acts on what is not the actor's own."""

from __future__ import annotations

from collections.abc import Iterable

from provisioning.gateway.access import audit
from provisioning.gateway.access.admission import peer
from provisioning.gateway.access.audit import Act, By
from provisioning.gateway.jobs.job import Job
from provisioning.gateway.services import Services
from provisioning.gateway.web.exchange import Exchange

MAX_NAMED = 100
"""Jobs that one line names; it tells the number of all."""


def by(exchange: Exchange) -> By:
    """Return the caller of a request with where it came from."""
    return By(exchange.who, peer(exchange.scope), exchange.request_id)


async def note(services: Services, exchange: Exchange, act: Act, target: str, **detail: object) -> None:
    """Write an act down; to be called before it is done, since what cannot be written down is not done either.

    Raises Problem(STORE_UNAVAILABLE).
    """
    await audit.note(services.keys.database, by(exchange), act, target, services.clock.now_ms(), detail)


async def on_anothers(services: Services, exchange: Exchange, act: Act, target: str, owner: str) -> None:
    """Write an act down when it is on somebody else's thing; what people do to their own is their own affair."""
    if owner != exchange.who.owner:
        await note(services, exchange, act, target, owner=owner)


async def end_anothers(services: Services, exchange: Exchange, jobs: Iterable[Job]) -> None:
    """Write down that jobs are to end, as far as they are other people's."""
    others = [job for job in jobs if job.owner != exchange.who.owner]
    if len(others) == 1:
        await note(services, exchange, Act.JOBS_ENDED, others[0].id, owner=others[0].owner)
    elif others:
        named = {job.id: job.owner for job in others[:MAX_NAMED]}
        await note(services, exchange, Act.JOBS_ENDED, "jobs", count=len(others), jobs=named)
