"""What an admin may set apart from the defaults for one key or one user: its rates, places and quotas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from provisioning.contract.gateway_options import Amount, Period, Unit

PerMinute = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
MaxConcurrent = Annotated[int, Field(strict=True, ge=1, le=100_000)]


class LimitSettings(BaseModel):
    """The `limits` of a key or a user; what is left out follows the gateway's options.

    A user's are shared by all its keys; a key's hold beside them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)

    requests_per_minute: PerMinute | None = None
    """Requests of every kind; as many may come at once."""
    submits_per_minute: PerMinute | None = None
    """Submissions, of a workflow or of a batch."""
    uploads_per_minute: PerMinute | None = None
    """Uploaded files."""
    max_requests: MaxConcurrent | None = None
    """Requests at once."""
    max_streams: MaxConcurrent | None = None
    """Open WebSockets and event streams."""
    max_queued: MaxConcurrent | None = None
    """Unfinished jobs."""
    quotas: Mapping[Unit, Mapping[Period, Amount | None]] = Field(default_factory=dict)
    """So much per day or month of jobs, gpu_seconds, images, bytes or usd; null lifts the gateway's own."""


NOTHING = LimitSettings()
"""Everything as the options say."""
