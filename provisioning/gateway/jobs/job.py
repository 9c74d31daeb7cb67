"""A job: one run of a workflow, from submission to a final state."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

import orjson

from provisioning.gateway.core.problems import Problem
from provisioning.gateway.core.time_units import HOUR_MS
from provisioning.gateway.jobs.estimator import kind_of
from provisioning.gateway.jobs.progress import JobProgress
from provisioning.gateway.jobs.queue_limits import UNBOUNDED, QueueLimits
from provisioning.gateway.upstream.stored_file import StoredFile
from provisioning.gateway.usage.quotas import Quota


class JobState(StrEnum):
    """The state of a job; the last four are final."""

    ACCEPTED = "accepted"
    """Stored; waits in the gateway's queue."""
    DISPATCHING = "dispatching"
    """Perhaps at ComfyUI: the gateway queries ComfyUI before it draws conclusions."""
    QUEUED = "queued"
    """At ComfyUI; the row still says DISPATCHING, which is looked for there as well."""
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    """ComfyUI refused the workflow; the job never ran."""


STAGED = frozenset({JobState.DISPATCHING, JobState.QUEUED})
"""Perhaps at ComfyUI, and not running yet."""

AT_COMFYUI = STAGED | {JobState.RUNNING}

FINAL = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED, JobState.REJECTED})


def _set() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass
class Job:
    """An unfinished job in memory."""

    id: str
    """Also ComfyUI's prompt id: a lower-case UUID, chosen by the caller or generated."""
    key_id: str
    owner: str
    admin: bool
    """Whether the owner is an admin, whose file names are not rewritten."""
    client_id: str
    """The client's label of the WebSocket that receives the job's messages; empty means all of the owner's."""
    workflow: bytes
    """The graph as sent by the client, JSON."""
    submitted_at: int
    """Milliseconds since the epoch, like all times here."""
    state: JobState = JobState.ACCEPTED
    label: bytes | None = None
    """The caller's label, JSON."""
    priority: int = 0
    """Priority class; higher classes run first."""
    attempts: int = 0
    """How often the job was sent to ComfyUI."""
    started_at: int | None = None
    cancel_requested: bool = False
    idempotency_key: str | None = None
    webhook_url: str | None = None
    """URL that is notified of the job's end, in addition to the owner's endpoints."""
    request_hash: bytes | None = None
    """Hash of the request with the idempotency key; a different request with the same key is refused."""
    progress: JobProgress = field(default_factory=JobProgress)
    timeout_ms: int = 0
    """Time limit of the run; 0 means none."""
    batch_id: str | None = None
    """The batch that the job belongs to."""
    interrupted_at: int | None = None
    """When the job was interrupted because it exceeded its time limit."""
    at_rest: asyncio.Event = field(default_factory=_set)
    """Cleared while the job is being stored or sent."""
    awaited: bool = False
    """Whether the submitter waits for ComfyUI's verdict, so that an unavailable ComfyUI rejects the job."""
    decided: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when ComfyUI has accepted or refused the job, or the job has ended."""
    answer: dict[str, Any] = field(default_factory=dict)
    """ComfyUI's response to the job, with the owner's names."""
    refusal: Problem | None = None
    failure: dict[str, Any] | None = None
    """The data of an `execution_error`, for a failure that ComfyUI did not report."""
    queue_limits: QueueLimits = UNBOUNDED
    """Limits on unfinished jobs of the key and the owner, checked on acceptance."""
    quotas: tuple[Quota, ...] = ()
    """Quotas that are checked on acceptance."""
    error: str | None = None
    keeping: bool = False
    """Whether ComfyUI has finished the job and its files are being stored."""
    shown: dict[StoredFile, OutputFile] = field(default_factory=dict)
    """Files that the nodes reported while the job runs."""
    took_ms: int = 0
    """GPU time, once the job has ended."""

    @property
    def posting(self) -> bool:
        """Return whether the job is being stored or sent: that ComfyUI does not have it then means nothing."""
        return not self.at_rest.is_set()

    @posting.setter
    def posting(self, under_way: bool) -> None:
        (self.at_rest.clear if under_way else self.at_rest.set)()

    @property
    def ended(self) -> bool:
        """Return whether the state is final."""
        return self.state in FINAL

    @cached_property
    def kind(self) -> str:
        """Return the kind of the job, for the estimate of its duration."""
        return kind_of(self.graph)

    @property
    def graph(self) -> Any:  # noqa: ANN401 - a client's JSON
        """Return the graph as sent by the client."""
        return orjson.loads(self.workflow)


@dataclass(frozen=True)
class OutputFile:
    """A file that a job made, and the node that made it."""

    node_id: str
    file: StoredFile
    size: int | None = None
    """In bytes, once the store has it."""


@dataclass(frozen=True)
class JobOutcome:
    """How a job ended."""

    state: JobState
    started_at: int | None
    finished_at: int
    gpu_ms: int
    """GPU time by ComfyUI's clock, from start to end: the billed time."""
    history: dict[str, Any] | None = None
    """ComfyUI's history entry, sanitised, with the client's names."""
    error: str | None = None
    """The failure code of a job that did not complete."""
    files: tuple[OutputFile, ...] = ()
    hidden: bool = False
    """Whether the history omits the job, like ComfyUI's omits refused ones; the submitter got the error."""


def usd_micros(gpu_ms: int, usd_per_hour: float) -> int:
    """Return the price of GPU time in millionths of a dollar, rounded: usage is stored in integers."""
    return round(gpu_ms * usd_per_hour * 1_000_000 / HOUR_MS)
