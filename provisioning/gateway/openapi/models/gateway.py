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


class Usage(Answered):
    """What jobs took since a time."""

    since: int = Field(description="Milliseconds since the epoch.")
    rows: list[UsageRow]
