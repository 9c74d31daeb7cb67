"""A job: one workflow run for one key, from submission to a final state."""

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
    """Where a job is; the last four are final."""

    ACCEPTED = "accepted"
    """Written down; waits in the gateway's own queue."""
    DISPATCHING = "dispatching"
    """Written down, perhaps at ComfyUI: it is looked for there before anything is concluded."""
    QUEUED = "queued"
    """At ComfyUI; the row still says DISPATCHING, which is looked for there as well."""
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    """ComfyUI refused the workflow; it never ran."""


STAGED = frozenset({JobState.DISPATCHING, JobState.QUEUED})
"""At ComfyUI, perhaps, and not running yet."""

AT_COMFYUI = STAGED | {JobState.RUNNING}

FINAL = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED, JobState.REJECTED})


def _set() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass
class Job:
    """A job that is not final yet, as the gateway holds it in memory."""

    id: str
    """Also ComfyUI's prompt id: a lower-case UUID, the caller's own where it gives one."""
    key_id: str
    owner: str
    admin: bool
    """Whether the owner's names go to ComfyUI as they are."""
    client_id: str
    """The client's own label for the WebSocket that is to hear of it; empty means all of the owner's."""
    workflow: bytes
    """The graph as the client sent it, JSON."""
    submitted_at: int
    """Milliseconds since the epoch, as all times here."""
    state: JobState = JobState.ACCEPTED
    label: bytes | None = None
    """What the caller calls it, JSON."""
    priority: int = 0
    """Its class: the higher goes first."""
    attempts: int = 0
    """How often it was handed to ComfyUI."""
    started_at: int | None = None
    cancel_requested: bool = False
    idempotency_key: str | None = None
    webhook_url: str | None = None
    """Where its end is told, beside its owner's endpoints."""
    request_hash: bytes | None = None
    """Of the whole request that brought the key; another request under the same key is refused."""
    progress: JobProgress = field(default_factory=JobProgress)
    timeout_ms: int = 0
    """How long ComfyUI may work on it; 0 means as long as it likes."""
    batch_id: str | None = None
    """The batch it came with."""
    interrupted_at: int | None = None
    """When ComfyUI was told to stop it because its time was over."""
    at_rest: asyncio.Event = field(default_factory=_set)
    """Clear while it is being written down or sent."""
    awaited: bool = False
    """Somebody waits for ComfyUI's verdict on it and would rather hear that ComfyUI is away than wait on."""
    decided: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when ComfyUI has taken or refused it, or it has ended."""
    answer: dict[str, Any] = field(default_factory=dict)
    """What ComfyUI said when it took the job, in the owner's names."""
    refusal: Problem | None = None
    failure: dict[str, Any] | None = None
    """The data of an `execution_error`, for a job that failed without ComfyUI having told so."""
    queue_limits: QueueLimits = UNBOUNDED
    """How many unfinished jobs its key and its owner may have, when it is accepted."""
    quotas: tuple[Quota, ...] = ()
    """The quotas that it has to fit into when it is accepted."""
    error: str | None = None
    keeping: bool = False
    """Whether it has ended and its files are on their way into the store: ComfyUI works on it no more."""
    shown: dict[StoredFile, OutputFile] = field(default_factory=dict)
    """Files that its nodes have named while it runs."""
    took_ms: int = 0
    """GPU time, once it has ended."""

    @property
    def posting(self) -> bool:
        """Return whether it is being written down or sent: absence at ComfyUI then means nothing yet."""
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
        """Return what it has in common with jobs that take about as long."""
        return kind_of(self.graph)

    @property
    def graph(self) -> Any:  # noqa: ANN401 - a client's JSON
        """Return the graph as the client sent it."""
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
    """By ComfyUI's own clock, from its start to its end: what is billed."""
    history: dict[str, Any] | None = None
    """ComfyUI's record of it, cleaned, in the client's names."""
    error: str | None = None
    """A short machine-readable reason, for a job that did not complete."""
    files: tuple[OutputFile, ...] = ()
    hidden: bool = False
    """Whether the history leaves it out, as ComfyUI's does what it refused: whoever submitted it was answered so."""


def usd_micros(gpu_ms: int, usd_per_hour: float) -> int:
    """Price GPU time, in millionths of a dollar, rounded to the nearest: usage is kept in integers alone."""
    return round(gpu_ms * usd_per_hour * 1_000_000 / HOUR_MS)
