"""Usage and quotas as requests and answers have them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema

from provisioning.contract.gateway_options import Period, Unit
from provisioning.gateway.core.http.schemas import AnswerBody, Query, WholeNumber
from provisioning.gateway.usage.quotas import Subject

DEFAULT_EVENTS = 1000
MAX_EVENTS = 10_000
"""Events in one answer: about 2 MB."""

Number = Annotated[int | float, WithJsonSchema({"type": "number"})]
"""An amount: whole where its unit is counted in whole numbers."""


class UsageQuery(Query):
    """Which usage to sum up."""

    days: WholeNumber = Field(default=30, ge=1, le=3650, examples=[30])
    """How many days to go back."""
    period: Period = Field(default=Period.DAY, examples=["month"])
    """By day or by month."""


class UsageEventsQuery(Query):
    """Which usage events to export."""

    after: WholeNumber = Field(default=0, ge=0, le=2**53, examples=[40])
    """The last `sequence` that is known already."""
    limit: WholeNumber = Field(default=DEFAULT_EVENTS, ge=1, le=MAX_EVENTS, examples=[DEFAULT_EVENTS])
    """The largest number of events to return."""
    format: Literal["jsonl", "csv"] = Field(default="jsonl", examples=["jsonl"])
    """`jsonl`: one object per line; `csv`: the same with a header line."""


class UsageRow(AnswerBody):
    """Jobs of one key in one state."""

    key_id: str
    state: str
    jobs: int
    gpu_ms: int
    usd_micros: int
    """Millionths of a dollar."""


class PeriodUsage(AnswerBody):
    """The usage of one key in a day or month."""

    starts_at: int
    """Its first moment in UTC, in milliseconds since the epoch."""
    owner: str
    key_id: str
    jobs: int
    gpu_seconds: float
    images: int
    bytes: int
    """Bytes of uploaded files."""
    usd: float


class Usage(AnswerBody):
    """The usage since a time."""

    since: int
    """Milliseconds since the epoch."""
    rows: list[UsageRow]
    period: Period
    periods: list[PeriodUsage]


class QuotaState(AnswerBody):
    """One quota with its balance."""

    name: str
    subject: Subject
    """`user`: all keys of the user together; `key`: this key."""
    unit: Unit
    period: Period
    limit: Number
    used: Number
    reserved: Number
    """Set aside for jobs and uploads under way."""
    remaining: Number
    starts_at: int
    """Milliseconds since the epoch."""
    ends_at: int
    """When it begins anew."""


class Quotas(AnswerBody):
    """Every quota that holds for the caller."""

    owner: str
    key_id: str
    quotas: list[QuotaState]
