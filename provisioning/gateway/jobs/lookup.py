"""Finding jobs that a caller may see."""

from __future__ import annotations

from provisioning.gateway.assets.repository import Asset
from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.jobs.repository import JobRecord
from provisioning.gateway.jobs.tracker import Tracker


class JobLookup:
    """Finds jobs by id; every method raises Problem NOT_FOUND for one that the caller may not see."""

    def __init__(self, tracker: Tracker, ledger: Ledger) -> None:
        self._tracker = tracker
        self._ledger = ledger

    async def find(self, actor: Actor, job_id: str) -> JobRecord:
        """Return the current state of a job."""
        row, _ = await self.find_with_files(actor, job_id)
        return row

    async def find_with_files(self, actor: Actor, job_id: str) -> tuple[JobRecord, list[Asset]]:
        """Return the current state of a job and its outputs."""
        owner = actor.visible_owner
        live = self._tracker.get(job_id)
        if live is not None and owner in {None, live.owner} and not live.posting:
            await self._tracker.refresh(live)
        row, made = await self._ledger.row_and_files(job_id, owner)
        if row is None:
            raise Problem(Code.NOT_FOUND)
        return row, made
