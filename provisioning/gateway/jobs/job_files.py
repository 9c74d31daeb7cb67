"""The operations on job files that the tracker needs."""

from __future__ import annotations

import mimetypes
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from provisioning.gateway.assets.repository import Asset
from provisioning.gateway.core.folder_locks import FolderLocks
from provisioning.gateway.jobs.job import Job, JobOutcome, OutputFile
from provisioning.gateway.upstream.stored_file import StoredFile


def _never(_file: StoredFile) -> int:
    return 0


async def _unkept(_job: Job, outcome: JobOutcome) -> JobOutcome:
    return outcome


@dataclass(frozen=True)
class JobFiles:
    """File operations; the defaults leave the files in ComfyUI's folders and stage none."""

    keep: Callable[[Job, JobOutcome], Awaitable[JobOutcome]] = _unkept
    """Stores a job's files before its end is recorded; may raise Problem to be called again."""
    put_at: Callable[[StoredFile], int] = _never
    """Returns when the gateway last copied a file to ComfyUI, in milliseconds since the epoch."""
    folders: FolderLocks = field(default_factory=FolderLocks)
    """Locks folders against deletion while a job's end is recorded."""


def asset_of(job: Job, output: OutputFile, now: int) -> Asset:
    """Return the asset for a job's output."""
    file = output.file
    return Asset(
        str(uuid.uuid4()), job.owner, job.id, output.node_id, file.type, file.subfolder, file.filename, file.filename,
        mimetypes.guess_type(file.filename)[0], output.size, None, now,
    )  # fmt: skip
