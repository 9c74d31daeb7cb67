"""Request and response bodies of usage and quotas."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema

from provisioning.contract.gateway_options import Period, Unit
from provisioning.gateway.core.http.schemas import AnswerBody, Query, WholeNumber
from provisioning.gateway.usage.quotas import Subject

DEFAULT_EVENTS = 1000
MAX_EVENTS = 10_000
"""Most events in a response: about 2 MB."""

Number = Annotated[int | float, WithJsonSchema({"type": "number"})]
"""An amount: an integer for units that are counted in whole numbers."""


class UsageQuery(Query):
    """Which usage to sum up."""

    days: WholeNumber = Field(default=30, ge=1, le=3650, examples=[30])
    """Number of days before now."""
    period: Period = Field(default=Period.DAY, examples=["month"])
    """Sum by day or by month."""


class UsageEventsQuery(Query):
    """Which usage events to export."""

    after: WholeNumber = Field(default=0, ge=0, le=2**53, examples=[40])
    """The last `sequence` that you have."""
    limit: WholeNumber = Field(default=DEFAULT_EVENTS, ge=1, le=MAX_EVENTS, examples=[DEFAULT_EVENTS])
    """The largest number of events to return."""
    format: Literal["jsonl", "csv"] = Field(default="jsonl", examples=["jsonl"])
    """`jsonl`: one object per line; `csv`: the same with a header line."""


class UsageRow(AnswerBody):
    """The jobs of a key in one state."""

    key_id: str
    state: str
    jobs: int
    gpu_ms: int
    usd_micros: int
    """Millionths of a dollar."""


class PeriodUsage(AnswerBody):
    """The usage of a key in a day or month."""

    starts_at: int
    """The start of the day or month in UTC, in milliseconds since the epoch."""
    owner: str
    key_id: str
    jobs: int
    gpu_seconds: float
    images: int
    bytes: int
    """Bytes of uploaded files."""
    usd: float


class Usage(AnswerBody):
    """Usage since a time."""

    since: int
    """Milliseconds since the epoch."""
    rows: list[UsageRow]
    period: Period
    periods: list[PeriodUsage]


class QuotaState(AnswerBody):
    """A quota with its balance."""

    name: str
    subject: Subject
    """`user`: all keys of the user together; `key`: this key."""
    unit: Unit
    period: Period
    limit: Number
    used: Number
    reserved: Number
    """Reserved for jobs and uploads in progress."""
    remaining: Number
    starts_at: int
    """Milliseconds since the epoch."""
    ends_at: int
    """When the quota resets, in milliseconds since the epoch."""


class Quotas(AnswerBody):
    """The quotas of the caller."""

    owner: str
    key_id: str
    quotas: list[QuotaState]
