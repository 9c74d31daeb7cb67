"""What was asked and what it took: jobs, their outputs and requests, in rows that survive a kill at any moment.

A job's row is committed before ComfyUI hears of it, and its end before anybody is told. Request rows are committed
together once in FLUSH_SECONDS: a kill may lose those of the last FLUSH_SECONDS, and no job ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Collection
from functools import partial
from typing import Any, NamedTuple

import orjson

from provisioning.gateway.jobs import rows as jobrows
from provisioning.gateway.jobs.job import Job, JobState, Outcome, StoredFile, usd_micros
from provisioning.gateway.jobs.rows import JobRow
from provisioning.gateway.problems import Problem
from provisioning.gateway.storage import assets
from provisioning.gateway.storage.database import Database

HISTORY_LIMIT = 1000
"""Most history entries in one answer."""

FLUSH_SECONDS = 1.0
"""How long a request's row may wait to be committed with others: a commit costs more than most requests do."""

MAX_WAITING = 10_000
"""Request rows in memory; what cannot be written is in the log all the same."""


class RequestRow(NamedTuple):
    """One authenticated request; a tuple, since there is one for every request."""

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


class Ledger:
    """Reads and writes jobs, outputs and requests; every method may raise Problem(STORE_UNAVAILABLE)."""

    def __init__(self, database: Database, usd_per_hour: float) -> None:
        self._database = database
        self._usd_per_hour = usd_per_hour
        self.assets = assets.AssetStore(database)
        self._requests: deque[RequestRow] = deque(maxlen=MAX_WAITING)
        self._flush: asyncio.Task[None] | None = None

    async def accept(self, job: Job) -> bool:
        """Write down a new job; False when its idempotency key is taken."""
        return await self._database.run(lambda connection: jobrows.accept(connection, job))

    async def dispatching(self, job: Job) -> None:
        """Write down that ComfyUI may have the job from now on."""
        sql = "UPDATE jobs SET state = ?, attempts = ? WHERE id = ? AND finished_at IS NULL"
        await self._execute(sql, (JobState.DISPATCHING, job.attempts, job.id))

    async def requeued(self, job: Job) -> None:
        """Write down that ComfyUI does not have the job after all."""
        sql = "UPDATE jobs SET state = ?, attempts = ?, started_at = NULL WHERE id = ? AND finished_at IS NULL"
        await self._execute(sql, (JobState.ACCEPTED, job.attempts, job.id))

    async def queued(self, job: Job, now: int) -> None:
        """Write down that ComfyUI has the job."""
        sql = "UPDATE jobs SET state = ?, queued_at = ? WHERE id = ? AND state = ?"
        await self._execute(sql, (JobState.QUEUED, now, job.id, JobState.DISPATCHING))

    async def started(self, job: Job) -> None:
        """Write down that ComfyUI works on the job."""
        sql = "UPDATE jobs SET state = ?, started_at = ? WHERE id = ? AND finished_at IS NULL"
        await self._execute(sql, (JobState.RUNNING, job.started_at, job.id))

    async def cancel_requested(self, job: Job) -> None:
        """Write down that the owner wants the job gone."""
        await self._execute("UPDATE jobs SET cancel_requested = 1 WHERE id = ?", (job.id,))

    async def finished(self, job: Job, outcome: Outcome) -> bool:
        """Write down how the job ended; False when that was known already, so that nothing counts twice."""
        return await self._database.run(lambda connection: self._finish(connection, job, outcome))

    def _finish(self, connection: sqlite3.Connection, job: Job, outcome: Outcome) -> bool:
        history = orjson.dumps(outcome.history) if outcome.history is not None else None
        cost = usd_micros(outcome.gpu_ms, self._usd_per_hour)
        values = (outcome.state, outcome.started_at, outcome.finished_at, outcome.gpu_ms, cost, history, outcome.error)
        changed = connection.execute(
            """UPDATE jobs SET state = ?, started_at = ?, finished_at = ?, gpu_ms = ?, usd_micros = ?, history = ?,
               error = ? WHERE id = ? AND finished_at IS NULL""",
            (*values, job.id),
        )
        if changed.rowcount == 1:
            for output in outcome.files:
                assets.insert(connection, assets.of_job(job, output, outcome.finished_at))
        return changed.rowcount == 1

    async def in_flight(self) -> list[Job]:
        """Return every job without a final state, oldest first."""
        sql = """SELECT jobs.*, keys.scopes LIKE '%"admin"%' AS admin FROM jobs LEFT JOIN keys ON keys.id = jobs.key_id
                 WHERE finished_at IS NULL ORDER BY submitted_at"""
        return [jobrows.in_flight(row) for row in await self._all(sql)]

    async def history(self, owner: str | None, *, limit: int, offset: int = 0) -> dict[str, Any]:
        """Return the newest `limit` history entries by id, oldest first; of everybody when `owner` is None."""
        sql = """SELECT id, history FROM jobs WHERE history IS NOT NULL AND hidden = 0 AND (?1 IS NULL OR owner = ?1)
                 ORDER BY submitted_at DESC, rowid DESC LIMIT ?2 OFFSET ?3"""
        rows = await self._all(sql, (owner, min(limit, HISTORY_LIMIT), offset))
        return {row["id"]: orjson.loads(row["history"]) for row in reversed(rows)}

    async def history_of(self, job_id: str, owner: str | None) -> dict[str, Any] | None:
        """Return one history entry, or None when there is none that `owner` may see."""
        sql = """SELECT history FROM jobs WHERE id = ?1 AND history IS NOT NULL AND hidden = 0
                 AND (?2 IS NULL OR owner = ?2)"""
        rows = await self._all(sql, (job_id, owner))
        return orjson.loads(rows[0]["history"]) if rows else None

    async def row(self, job_id: str, owner: str | None) -> JobRow | None:
        """Return all that is written down of a job, or None when there is none that `owner` may see."""
        rows = await self._all(f"{jobrows.SELECT} WHERE id = ?1 AND (?2 IS NULL OR owner = ?2)", (job_id, owner))
        return jobrows.from_row(rows[0]) if rows else None

    async def row_of_key(self, owner: str, idempotency_key: str) -> JobRow | None:
        """Return the job that was submitted under an idempotency key."""
        rows = await self._all(f"{jobrows.SELECT} WHERE owner = ? AND idempotency_key = ?", (owner, idempotency_key))
        return jobrows.from_row(rows[0]) if rows else None

    async def release_key(self, job: Job) -> None:
        """Forget the idempotency key of a job that never ran, so that it can be tried again."""
        await self._execute("UPDATE jobs SET idempotency_key = NULL WHERE id = ?", (job.id,))

    async def rows(self, owner: str | None, *, before: int, limit: int) -> list[JobRow]:
        """Return jobs whose row comes before another, newest first."""
        newest = "ORDER BY rowid DESC LIMIT ?3"
        sql = f"{jobrows.SELECT} WHERE rowid < ?1 AND (?2 IS NULL OR owner = ?2) {newest}"
        return [jobrows.from_row(row) for row in await self._all(sql, (before, owner, limit))]

    async def hide(self, owner: str | None, job_ids: Collection[str] | None) -> None:
        """Take finished jobs out of the history, all of them when `job_ids` is None; their usage stays."""
        sql = """UPDATE jobs SET hidden = 1, history = NULL WHERE finished_at IS NOT NULL AND (?1 IS NULL OR owner = ?1)
                 AND (?2 IS NULL OR id IN (SELECT value FROM json_each(?2)))"""
        chosen = None if job_ids is None else orjson.dumps(list(job_ids)).decode()
        await self._execute(sql, (owner, chosen))

    async def owns(self, owner: str, file: StoredFile) -> bool:
        """Return whether a job of `owner` made this file."""
        sql = "SELECT 1 FROM assets WHERE type = ? AND subfolder = ? AND filename = ? AND owner = ?"
        return bool(await self._all(sql, (file.type, file.subfolder, file.filename, owner)))

    async def prune(self, before: int) -> None:
        """Forget requests and the contents of jobs that ended before a time; what they took stays."""
        await self._execute("DELETE FROM requests WHERE received_at < ?", (before,))
        await self._execute("DELETE FROM assets WHERE job_id IN (SELECT id FROM jobs WHERE finished_at < ?)", (before,))
        sql = "UPDATE jobs SET workflow = x'', history = NULL WHERE finished_at < ? AND length(workflow) > 0"
        await self._execute(sql, (before,))

    async def usage(self, owner: str | None, since: int) -> list[dict[str, Any]]:
        """Sum up the jobs submitted since a time, by key and state; of everybody when `owner` is None."""
        sql = """SELECT key_id, state, count(*) AS jobs, sum(gpu_ms) AS gpu_ms, sum(usd_micros) AS usd_micros
                 FROM jobs
                 WHERE submitted_at >= ?2 AND (?1 IS NULL OR owner = ?1)
                 GROUP BY key_id, state ORDER BY key_id, state"""
        return [dict(row) for row in await self._all(sql, (owner, since))]

    async def remember(self, name: str, value: str) -> str:
        """Return what is kept under `name`, keeping `value` when there is nothing yet."""
        await self._execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (name, value))
        rows = await self._all("SELECT value FROM meta WHERE name = ?", (name,))
        return str(rows[0]["value"])

    def record(self, row: RequestRow) -> None:
        """Have a request written down within FLUSH_SECONDS, together with those that come meanwhile."""
        self._requests.append(row)
        if self._flush is None or self._flush.done():
            self._flush = asyncio.get_running_loop().create_task(self._flush_later())

    async def flush(self) -> None:
        """Commit every recorded request."""
        with contextlib.suppress(Problem):
            await self._write_requests()

    async def _flush_later(self) -> None:
        await asyncio.sleep(FLUSH_SECONDS)
        await self.flush()

    async def _write_requests(self) -> None:
        rows = list(self._requests)
        self._requests.clear()
        if rows:
            await self._database.run(partial(_insert_requests, rows=rows))

    async def writable(self) -> bool:
        """Return whether a row can be written now."""
        try:
            await self._execute("INSERT OR REPLACE INTO meta VALUES ('probe', 'ok')", ())
        except Problem:
            return False
        return True

    async def _execute(self, sql: str, values: tuple[Any, ...]) -> None:
        await self._database.run(lambda connection: connection.execute(sql, values).rowcount)

    async def _all(self, sql: str, values: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        return await self._database.read(lambda connection: connection.execute(sql, values).fetchall())


def _insert_requests(connection: sqlite3.Connection, rows: list[RequestRow]) -> None:
    connection.executemany("INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
