"""A batch: many jobs submitted by one request, accepted all together or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from provisioning.gateway.jobs.job import FINAL, STAGED, JobState

BatchStatus = Literal["queued", "running", "succeeded", "failed", "canceled", "partial"]


@dataclass(frozen=True)
class Batch:
    """A batch without its jobs."""

    id: str
    owner: str
    key_id: str
    created_at: int
    size: int
    idempotency_key: str | None = None
    request_hash: bytes | None = None
    webhook_url: str | None = None
    """URL that is notified of the end, in addition to the owner's endpoints; stored in the outbox, not in the row."""


def status(states: Counter[JobState]) -> BatchStatus:
    """Return one status for all jobs of a batch."""
    unfinished = {state for state in states if state not in FINAL}
    if unfinished:
        return "queued" if set(states) <= {JobState.ACCEPTED, *STAGED} else "running"
    words = {_WORDS[state] for state in states}
    return words.pop() if len(words) == 1 else "partial"


_WORDS: Mapping[JobState, BatchStatus] = {
    JobState.COMPLETED: "succeeded",
    JobState.FAILED: "failed",
    JobState.REJECTED: "failed",
    JobState.CANCELLED: "canceled",
}
