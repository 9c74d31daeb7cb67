"""Freeing space on the container disk: when it runs low, ComfyUI's copies of stored files are truncated.

ComfyUI's folders grow with every job, and the container disk is smaller than the volume. An empty file reserves the
name, so that ComfyUI's numbering continues; a file that is needed again is copied from the store.
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
"""With less free space than this, or a tenth of the disk if less, copies are emptied until twice as much is free."""

_log = logging.getLogger(__name__)


class CopyCleanup:
    """Checks the disk periodically."""

    def __init__(self, staging: InputStaging, tracker: Tracker, directory: Path | None) -> None:
        """Take a directory on the disk with ComfyUI's folders; without one, no copies are emptied."""
        self._staging = staging
        self._tracker = tracker
        self._directory = directory

    async def run(self) -> None:
        """Look once in LOOK_SECONDS until cancelled."""
        while self._directory is not None:
            await asyncio.sleep(LOOK_SECONDS)
            # A failed check does no harm: without free space no job is accepted.
            with contextlib.suppress(Problem, OSError):
                await self.look()

    async def look(self) -> int:
        """Empty copies if the disk runs low, oldest first; returns how many. Raises Problem, OSError."""
        if self._missing(1) <= 0:
            return 0
        emptied, used = 0, self._in_use()
        for kept in self._staging.staged():
            if self._missing(2) <= 0:
                break
            if kept.file not in used and await self._staging.empty(kept):
                emptied += 1
        _log.warning("the container disk runs low: copies of stored files were emptied", extra={"count": emptied})
        return emptied

    def _missing(self, times: int) -> int:
        disk = shutil.disk_usage(self._directory or "/")
        return times * min(LOW_BYTES, disk.total // 10) - disk.free

    def _in_use(self) -> set[object]:
        """Return the inputs of unfinished jobs, and drop those of finished ones."""
        named = self._staging.named
        for job_id in [job_id for job_id in named if self._tracker.get(job_id) is None]:
            del named[job_id]
        return {file for files in named.values() for file in files}
