"""Limits and intervals of the gateway's own work, which no stack sets."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class InternalLimits(BaseModel):
    """How often the gateway does its own work, how long it waits, and how much it takes in one step."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prune_seconds: float = Field(default=3600.0, gt=0)
    """Between two deletions of what is older than the retention."""
    expiry_batch: int = Field(default=2000, gt=0)
    """Files that one request to the pod's helper deletes."""
    upload_retry_seconds: float = Field(default=1.0, gt=0)
    """How long a write to the volume is tried again that fails with a passing error."""
    file_stall_seconds: float = Field(default=30.0, gt=0)
    """How long one operation on a file may take; then the client is asked to try again."""
    max_scanned_jobs: int = Field(default=500, gt=0)
    """Jobs that are read for one page of a filtered list."""
    stream_recheck_seconds: float = Field(default=1.0, gt=0)
    """Between two checks of the keys of open streams, so that revoking a key closes what it opened."""
    job_look_seconds: float = Field(default=2.0, gt=0)
    """How long a request about a job waits for a ComfyUI that is away or loads a model."""
    verdict_seconds: float = Field(default=30.0, gt=0)
    """How long a submission waits for ComfyUI's answer: well within the 90 s of RunPod's proxy and of most clients."""
    webhook_poll_seconds: float = Field(default=1.0, gt=0)
    """Between two searches for webhooks that are due."""
    refusals_per_second: float = Field(default=300.0, gt=0)
    """Refusals of a flood that are answered in one second; the rest of the time is for admitted requests."""
    refusal_burst: int = Field(default=100, ge=0)
    """Refusals that are answered at once before any waits."""
    refusal_delay_seconds: float = Field(default=1.0, gt=0)
    """No refusal waits longer: a Retry-After is at least as long."""
