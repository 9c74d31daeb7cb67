"""The ledger: jobs, their outputs and requests, in rows that survive a kill at any moment.

A job's row is committed before the job is sent to ComfyUI, and its end before anyone is notified. Request rows are
committed together every FLUSH_SECONDS: a kill may lose those of the last FLUSH_SECONDS, but never a job.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

import orjson
from sqlalchemy import Connection, Executable, Update, bindparam, delete, func, insert, select, true, update

from provisioning.gateway.assets import repository as asset_repository
from provisioning.gateway.assets.expiry import Expiry
from provisioning.gateway.core.clock import Clock, SystemClock
from provisioning.gateway.core.database import sql_helpers
from provisioning.gateway.core.database.database import Database
from provisioning.gateway.core.database.tables import AssetRow, JobRow, RequestRow
from provisioning.gateway.core.problems import Problem
from provisioning.gateway.jobs import repository as job_repository
from provisioning.gateway.jobs.history_stats import HistoryStats
from provisioning.gateway.jobs.job import Job, JobOutcome, JobState, usd_micros
from provisioning.gateway.jobs.job_files import asset_of
from provisioning.gateway.jobs.job_usage import JobQuotas
from provisioning.gateway.jobs.queries import JobQueries
from provisioning.gateway.jobs.repository import of_owner
from provisioning.gateway.jobs.totals import Totals
from provisioning.gateway.upstream.helper_requests import HelperRequests
from provisioning.gateway.webhooks import outbox
from provisioning.gateway.webhooks.event_types import OF_STATE, EventType

if TYPE_CHECKING:
    from provisioning.gateway.assets.store.store import FileStore

FLUSH_SECONDS = 1.0
"""How long a request's row may wait to be committed with others: a commit costs more than most requests do."""

SYSTEM_CLOCK = SystemClock()

MAX_WAITING = 10_000
"""Most request rows in memory; requests that cannot be stored are still in the log."""

# Built once: building a statement costs more than executing it. The values are parameters of the execution.
_CHANGE = update(JobRow).where(JobRow.id == bindparam("job"))
_CHANGE_UNFINISHED = _CHANGE.where(JobRow.finished_at.is_(None))
_NEW_REQUEST = insert(RequestRow)


class RequestRecord(NamedTuple):
    """One authenticated request; a tuple for speed, since every request creates one."""

    id: str
    key_id: str
    job_id: str | None
    method: str
    route: str
    """The route's pattern, never the path: paths may hold names."""
    status: int
    received_at: int
    duration_ms: int
    bytes_in: int
    bytes_out: int


class Ledger(JobQueries):
    """Reads and writes jobs, outputs and requests; every method may raise Problem(STORE_UNAVAILABLE)."""

    def __init__(
        self,
        database: Database,
        usd_per_hour: float,
        quotas: JobQuotas | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(database)
        self.database = database
        self._clock = clock
        self._usd_per_hour = usd_per_hour
        self._quotas = quotas or JobQuotas(usd_per_hour)
        self.assets = asset_repository.AssetStore(database)
        self.history_stats = HistoryStats(database)
        self.totals = Totals(database)
        self._requests: deque[RequestRecord] = deque(maxlen=MAX_WAITING)
        self._flush: asyncio.Task[None] | None = None

    def expiry(self, requests: HelperRequests, store: FileStore | None, batch: int) -> Expiry:
        """Return the deletion of expired files, in the store and, by `requests`, through the pod's helper."""
        return Expiry(self._database, requests, store, batch)

    async def accept(self, job: Job) -> bool:
        """Store a new job and reserve its quota; returns False when its idempotency key is taken.

        Raises Problem QUOTA_EXCEEDED or QUOTA_EXHAUSTED when a quota is exhausted.
        """
        return await self._database.run(lambda connection: self.accept_within(connection, job))

    def accept_within(self, connection: Connection, job: Job) -> bool:
        """Do the same within the caller's transaction."""
        # Quotas first: they refuse most of the refused jobs.
        self._quotas.reserve(connection, job)
        if job_repository.accept(connection, job):
            return True
        self._quotas.release(connection, job)
        return False

    async def dispatching(self, job: Job) -> None:
        """Record that ComfyUI may have the job from now on."""
        values = {"state": JobState.DISPATCHING, "attempts": job.attempts, "queued_at": self._clock.now_ms()}
        await self._change(_CHANGE_UNFINISHED, job, **values)

    async def requeued(self, job: Job) -> None:
        """Record that ComfyUI does not have the job."""
        await self._change(_CHANGE_UNFINISHED, job, state=JobState.ACCEPTED, attempts=job.attempts, started_at=None)

    async def started(self, job: Job) -> None:
        """Record that the job has started."""
        await self._change(_CHANGE_UNFINISHED, job, state=JobState.RUNNING, started_at=job.started_at)

    async def cancel_requested(self, job: Job) -> None:
        """Record that the job is to be cancelled."""
        await self._change(_CHANGE, job, cancel_requested=True)

    async def _change(self, change: Update, job: Job, **values: object) -> None:
        await self._database.run(lambda connection: connection.execute(change, {"job": job.id, **values}).close())

    async def finished(self, job: Job, outcome: JobOutcome) -> bool:
        """Record the end of a job; returns False when it was recorded before, so that nothing counts twice."""
        return await self._database.run(lambda connection: self._finish(connection, job, outcome))

    def _finish(self, connection: Connection, job: Job, outcome: JobOutcome) -> bool:
        values = {
            "job": job.id,
            "state": outcome.state,
            "started_at": outcome.started_at,
            "finished_at": outcome.finished_at,
            "gpu_ms": outcome.gpu_ms,
            "usd_micros": usd_micros(outcome.gpu_ms, self._usd_per_hour),
            "history": orjson.dumps(outcome.history) if outcome.history is not None else None,
            "error": outcome.error,
            "hidden": outcome.hidden,
        }
        changed = connection.execute(_CHANGE_UNFINISHED, values).rowcount == 1
        if changed:
            for output in outcome.files:
                asset_repository.add(connection, asset_of(job, output, outcome.finished_at))
            self._quotas.settle(connection, job, outcome)
            self._enqueue_end(connection, job, outcome)
        return changed

    def _enqueue_end(self, connection: Connection, job: Job, outcome: JobOutcome) -> None:
        # By the gateway's clock, which times deliveries; `finished_at` is by ComfyUI's.
        now = self._clock.now_ms()
        outbox.enqueue_end(connection, job.owner, OF_STATE[outcome.state], job.id, now)
        if job.batch_id is not None and job_repository.is_over(connection, job.batch_id):
            outbox.enqueue_end(connection, job.owner, EventType.BATCH_FINISHED, job.batch_id, now)

    async def release_key(self, job: Job) -> None:
        """Clear the idempotency key of a job that never ran, so that the request can be repeated."""
        await self._change(_CHANGE, job, idempotency_key=None)

    async def forget_refused(self, job: Job) -> None:
        """Delete a job that ComfyUI refused, so that its id can be used again."""
        await self._execute(delete(JobRow).where(JobRow.id == job.id, JobRow.state == JobState.REJECTED))

    async def hide(self, owner: str | None, job_ids: Collection[str] | None) -> None:
        """Remove finished jobs from the history, all of them when `job_ids` is None; their usage stays."""
        finished = (
            update(JobRow).where(JobRow.finished_at.is_not(None), of_owner(owner)).values(hidden=True, history=None)
        )
        chosen = [true()] if job_ids is None else [JobRow.id.in_(part) for part in sql_helpers.in_chunks(job_ids)]

        def work(connection: Connection) -> None:
            for condition in chosen:
                connection.execute(finished.where(condition))

        await self._database.run(work)

    async def prune(self, before: int) -> None:
        """Delete the requests and the contents of jobs from before a time; the jobs' usage stays."""
        ended = select(JobRow.id).where(JobRow.finished_at < before)
        full = (JobRow.finished_at < before, func.length(JobRow.workflow) > 0)
        await self._execute(delete(RequestRow).where(RequestRow.received_at < before))
        await self._execute(delete(AssetRow).where(AssetRow.job_id.in_(ended)))
        await self._execute(update(JobRow).where(*full).values(workflow=b"", history=None))

    async def remember(self, name: str, value: str) -> str:
        """Return the value stored under `name`, after storing `value` when there is none."""

        def work(connection: Connection) -> str:
            known = sql_helpers.get_meta(connection, name)
            if known is None:
                sql_helpers.set_meta(connection, name, value)
            return value if known is None else known

        return await self._database.run(work)

    def record(self, row: RequestRecord) -> None:
        """Queue a request's row, to be committed with others within FLUSH_SECONDS."""
        self._requests.append(row)
        if self._flush is None or self._flush.done():
            self._flush = asyncio.get_running_loop().create_task(self._flush_later())

    async def flush(self) -> None:
        """Commit every queued request row."""
        with contextlib.suppress(Problem):
            await self._write_requests()

    async def _flush_later(self) -> None:
        await asyncio.sleep(FLUSH_SECONDS)
        await self.flush()

    async def _write_requests(self) -> None:
        rows = list(self._requests)
        self._requests.clear()
        if rows:
            values = [row._asdict() for row in rows]
            await self._database.run(lambda connection: connection.execute(_NEW_REQUEST, values).close())

    async def writable(self) -> bool:
        """Return whether the database is writable."""
        try:
            await self._database.run(lambda connection: sql_helpers.set_meta(connection, "probe", "ok"))
        except Problem:
            return False
        return True

    async def _execute(self, statement: Executable) -> None:
        await self._database.run(lambda connection: connection.execute(statement).close())
