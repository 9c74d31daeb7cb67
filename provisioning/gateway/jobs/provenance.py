"""Provenance of output files: which of the files that a job's outputs name were made by the job.

Nodes may repeat their inputs, so that a caller can make an output name any file. Outside the job's own folder, a file
counts as the job's when its node only names files that it wrote, when the file was written while the job ran, or when
the owner has it already: ComfyUI names cached outputs again.
"""

from __future__ import annotations

import email.utils
from collections.abc import Callable, Iterable

from provisioning.gateway.core.problems import Problem
from provisioning.gateway.jobs.job import Job, OutputFile
from provisioning.gateway.jobs.queries import JobQueries
from provisioning.gateway.upstream.client import ComfyUIClient, Request
from provisioning.gateway.upstream.owner_namespace import OwnerNamespace
from provisioning.gateway.upstream.stored_file import StoredFile

MAX_ASKED = 64
"""Most files per job whose modification time is requested from ComfyUI."""

WRITERS = frozenset(
    {
        "MaskPreview", "PreviewAudio", "PreviewImage", "SaveAnimatedPNG", "SaveAnimatedWEBP", "SaveAudio",
        "SaveAudioMP3", "SaveAudioOpus", "SaveImage", "SaveLatent", "SaveVideo", "SaveWEBM",
    }
)  # fmt: skip
"""ComfyUI's own node classes whose outputs only name files that they wrote."""


class Provenance:
    """Separates a job's files from files that its nodes only name."""

    def __init__(self, queries: JobQueries, upstream: ComfyUIClient, put_at: Callable[[StoredFile], int]) -> None:
        """`put_at` returns when the gateway last copied a file to ComfyUI, in milliseconds since the epoch."""
        self._put_at = put_at
        self._queries = queries
        self._upstream = upstream

    async def made(
        self, job: Job, namespace: OwnerNamespace, named: Iterable[OutputFile], started_at: int | None
    ) -> tuple[OutputFile, ...]:
        """Return the files that the job has made; raises Problem."""
        kept, left = [], MAX_ASKED
        for output in named:
            evident = namespace.is_in_job_folder(output.file, job.id) or _is_written(job, namespace, output)
            left -= not evident
            if evident or (left >= 0 and await self._is_made(job, output.file, started_at)):
                kept.append(output)
        return tuple(kept)

    async def _is_made(self, job: Job, file: StoredFile, started_at: int | None) -> bool:
        owners = await self._queries.owners(file)
        if job.owner in owners:
            return True
        if started_at is None:
            return False
        written = await self._written_at(file)
        # A file that another user has, or that the gateway restored, must certainly have been written after that.
        since = max(started_at, self._put_at(file))
        certain = bool(owners) or since > started_at
        return written - certain >= since / 1000

    async def _written_at(self, file: StoredFile) -> float:
        """Return when a file was written, in seconds since the epoch; 0 when ComfyUI does not report it.

        aiohttp, which serves ComfyUI's files, rounds up to whole seconds: the file is up to a second older.
        """
        place = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        try:
            async with self._upstream.stream(Request("HEAD", "/view", place)) as reply:
                said = reply.headers.get("last-modified", "") if reply.status == 200 else ""
            return email.utils.parsedate_to_datetime(said).timestamp()
        except (Problem, ValueError):
            return 0


def _is_written(job: Job, namespace: OwnerNamespace, output: OutputFile) -> bool:
    # These nodes write outputs into the job's own folder, except for admins.
    if namespace.root and output.file.type != "temp":
        return False
    node = job.graph.get(output.node_id)
    return node is not None and node["class_type"] in WRITERS
