"""Storage of a job's outputs, before its end is recorded and published."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from provisioning.gateway.assets.staging.inputs import InputStaging
from provisioning.gateway.assets.store.paths import StoredCopy, StorePath, store_path_of
from provisioning.gateway.assets.store.store import FileStore
from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.jobs import failure_codes
from provisioning.gateway.jobs.job import Job, JobOutcome, JobState, OutputFile
from provisioning.gateway.jobs.results import failed_history
from provisioning.gateway.upstream.client import ComfyUIClient, Request
from provisioning.gateway.upstream.stored_file import StoredFile

KEPT_TYPES = frozenset({"output", "temp"})
"""Folders that jobs write to; a file that a job names in another folder is not its output."""

ATTEMPTS = 3
"""Attempts for one file before the next poll of the job."""
PAUSE_SECONDS = 0.1
PATIENCE_SECONDS = 600.0
"""How long a job waits for a volume that reports errors, or for a ComfyUI that does not send a file."""
AT_ONCE = 4
"""Files that are fetched concurrently."""

_log = logging.getLogger(__name__)


class OutputStorage:
    """Fetches the files of jobs from ComfyUI and puts them into the store."""

    def __init__(self, store: FileStore, upstream: ComfyUIClient, staging: InputStaging, clock: Clock) -> None:
        self._store = store
        self._staging = staging
        self._upstream = upstream
        self._clock = clock
        self._since: dict[str, float] = {}
        """When storing a file of a job first failed, by job id."""
        self._kept: dict[str, dict[StoredFile, int]] = {}
        """Sizes of stored files of jobs with files that are not stored yet."""

    async def keep(self, job: Job, outcome: JobOutcome) -> JobOutcome:
        """Store a job's files and return the outcome with the stored files and their sizes.

        A job whose files cannot be stored fails with the reason. Raises Problem when the call is to be repeated.
        """
        job.keeping = True
        try:
            files = await self._keep_all(job, outcome.files)
        except Problem as problem:
            if problem.code is not Code.STORAGE_FULL and not self._is_late(job):
                raise
            outcome = _failed(job, outcome, _reason(problem))
        else:
            outcome = replace(outcome, files=files)
        finally:
            job.keeping = False
        self._since.pop(job.id, None)
        self._kept.pop(job.id, None)
        return outcome

    async def _keep_all(self, job: Job, files: tuple[OutputFile, ...]) -> tuple[OutputFile, ...]:
        sizes, turns = self._kept.setdefault(job.id, {}), asyncio.Semaphore(AT_ONCE)

        async def one(file: StoredFile) -> None:
            async with turns:
                if file not in sizes and (size := await self._keep(file, store_path_of(file, job.id))) is not None:
                    sizes[file] = size

        done = await asyncio.gather(
            *(one(output.file) for output in files if output.file.type in KEPT_TYPES), return_exceptions=True
        )
        for error in done:
            if isinstance(error, BaseException):
                raise error
        return tuple(replace(output, size=sizes[output.file]) for output in files if output.file in sizes)

    async def _keep(self, file: StoredFile, place: StorePath) -> int | None:
        """Return the length of the stored file; None for a file that ComfyUI does not have, though a node named it."""
        for attempt in range(ATTEMPTS):
            try:
                return await self._fetch(file, place)
            except Problem as problem:
                if problem.code is Code.STORAGE_FULL or attempt == ATTEMPTS - 1:
                    raise
            await asyncio.sleep(PAUSE_SECONDS * 2**attempt)
        return None

    async def _fetch(self, file: StoredFile, place: StorePath) -> int | None:
        params = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        await self._staging.restore(file)
        async with self._upstream.stream(Request("GET", "/view", params)) as reply:
            if reply.status in {400, 403, 404} or not place.is_safe:
                _log.warning("a node named a file that does not exist: %s", file.filename)
                return None
            if reply.status != 200:
                raise Problem(Code.UPSTREAM_ERROR)
            if reply.headers.get("content-length") == "0" and (known := await self._size(place)):
                # An emptied copy that ComfyUI named again from its cache.
                return known
            size = await self._store.put(place, reply.chunks)
        self._staging.mark_present(StoredCopy(file, place))
        return size

    async def _size(self, place: StorePath) -> int:
        async with self._store.opened(place) as content:
            return content.size if content is not None else 0

    def _is_late(self, job: Job) -> bool:
        now = self._clock.monotonic()
        return now - self._since.setdefault(job.id, now) >= PATIENCE_SECONDS


def _reason(problem: Problem) -> str:
    return problem.code.value if problem.code is Code.STORAGE_FULL else failure_codes.NOT_KEPT


def _failed(job: Job, outcome: JobOutcome, reason: str) -> JobOutcome:
    _log.error("the files of a job could not be stored", extra={"job_id": job.id, "code": reason})
    if outcome.state is not JobState.COMPLETED:
        # The job has a failure code already; only its files are lost.
        return replace(outcome, files=())
    history = failed_history(outcome.history or {}, reason)
    return replace(outcome, state=JobState.FAILED, error=reason, files=(), history=history)
