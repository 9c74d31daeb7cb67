"""Room on the container's disk: ComfyUI's copies of files that the store has are emptied when it runs short.

ComfyUI's folders grow with every job, and the disk that they are on is smaller than the volume. An empty file keeps the
name, so that ComfyUI counts on; who needs the file again gets it from the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from pathlib import Path

from provisioning.gateway.assets.staging.inputs import InputStaging
from provisioning.gateway.core.problems import Problem
from provisioning.gateway.jobs.tracker import Tracker

LOOK_SECONDS = 60.0
LOW_BYTES = 4 * 1024**3
"""With less than this, or a tenth of the disk if that is less, copies are emptied until there is twice as much."""

_log = logging.getLogger(__name__)


class CopyCleanup:
    """Looks at the disk now and then."""

    def __init__(self, staging: InputStaging, tracker: Tracker, directory: Path | None) -> None:
        """Take a directory on the disk that ComfyUI's folders are on; without one nothing is ever emptied."""
        self._staging = staging
        self._tracker = tracker
        self._directory = directory

    async def run(self) -> None:
        """Look once in LOOK_SECONDS until cancelled."""
        while self._directory is not None:
            await asyncio.sleep(LOOK_SECONDS)
            # Nothing is lost by waiting: with too little room no job is taken.
            with contextlib.suppress(Problem, OSError):
                await self.look()

    async def look(self) -> int:
        """Empty copies if the disk runs short, the oldest first; returns how many. Raises Problem, OSError."""
        if self._missing(1) <= 0:
            return 0
        emptied, used = 0, self._in_use()
        for kept in self._staging.staged():
            if self._missing(2) <= 0:
                break
            if kept.file not in used and await self._staging.empty(kept):
                emptied += 1
        _log.warning("the container's disk runs short: copies of stored files were emptied", extra={"count": emptied})
        return emptied

    def _missing(self, times: int) -> int:
        disk = shutil.disk_usage(self._directory or "/")
        return times * min(LOW_BYTES, disk.total // 10) - disk.free

    def _in_use(self) -> set[object]:
        """Return what jobs read that have not ended; forgets those that have."""
        named = self._staging.named
        for job_id in [job_id for job_id in named if self._tracker.get(job_id) is None]:
            del named[job_id]
        return {file for files in named.values() for file in files}
