"""Requests and answers of the gateway's own routes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from provisioning.gateway.openapi.models.base import Answered


class Alive(Answered):
    """The process answers."""

    status: Literal["alive"]


class Healthy(Answered):
    """The Comfy API v2 answers."""

    status: Literal["healthy"]


class Ready(Answered):
    """Jobs are taken."""

    status: Literal["ready"]


class ReadyAndIsolated(Ready):
    """Jobs are taken, and what keeps ComfyUI apart."""

    isolation: Literal["landlock", "folder", "none", ""]


class ErrorEntry(Answered):
    """What an error code means."""

    code: str
    status: int
    title: str
    detail: str = Field(description="What to do about it.")


class UsageRow(Answered):
    """Jobs of one key in one state."""

    key_id: str
    state: str
    jobs: int
    gpu_ms: int
    usd_micros: int = Field(description="Millionths of a dollar.")


class PeriodUsage(Answered):
    """What one key took in a day or month."""

    starts_at: int = Field(description="Its first moment in UTC, in milliseconds since the epoch.")
    owner: str
    key_id: str
    jobs: int
    gpu_seconds: float
    images: int
    bytes: int = Field(description="Of uploaded files.")
    usd: float


class Usage(Answered):
    """What jobs took since a time."""

    since: int = Field(description="Milliseconds since the epoch.")
    rows: list[UsageRow]
    period: Literal["day", "month"]
    periods: list[PeriodUsage]


class Quota(Answered):
    """One quota, and how it stands."""

    name: str
    subject: Literal["user", "key"] = Field(description="Whom it is for: all keys of the user together, or this key.")
    unit: Literal["jobs", "gpu_seconds", "images", "bytes", "usd"]
    period: Literal["day", "month"]
    limit: float
    used: float
    reserved: float = Field(description="Set aside for jobs and uploads under way.")
    remaining: float
    starts_at: int = Field(description="Milliseconds since the epoch.")
    ends_at: int = Field(description="When it begins anew.")


class Quotas(Answered):
    """Every quota that holds for the caller."""

    owner: str
    key_id: str
    quotas: list[Quota]
