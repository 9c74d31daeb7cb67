"""Limits of a single key or user that override the gateway's defaults: rates, concurrency and quotas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from provisioning.contract.gateway_options import Amount, Period, Unit

PerMinute = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
MaxConcurrent = Annotated[int, Field(strict=True, ge=1, le=100_000)]


class LimitSettings(BaseModel):
    """The `limits` of a key or a user; omitted members follow the gateway's options.

    All keys of a user share the user's limits; the limits of a key apply in addition.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)

    requests_per_minute: PerMinute | None = None
    """Requests of every kind; a burst of the same size is allowed."""
    submits_per_minute: PerMinute | None = None
    """Submissions of workflows and batches."""
    uploads_per_minute: PerMinute | None = None
    """Uploaded files."""
    max_requests: MaxConcurrent | None = None
    """Concurrent requests."""
    max_streams: MaxConcurrent | None = None
    """Open WebSockets and event streams."""
    max_queued: MaxConcurrent | None = None
    """Unfinished jobs."""
    quotas: Mapping[Unit, Mapping[Period, Amount | None]] = Field(default_factory=dict)
    """Amounts of jobs, gpu_seconds, images, bytes or usd per day or month; null removes the gateway's default quota."""


NOTHING = LimitSettings()
"""No overrides: the gateway's options apply."""
