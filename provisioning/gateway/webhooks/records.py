"""Endpoints and deliveries in memory."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import Row, Select, select

from provisioning.gateway.webhooks.tables import DeliveryRow, EndpointRow, MessageRow


class DeliveryState(StrEnum):
    """The state of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    """Given up after a day of attempts, or because its endpoint was deleted or disabled."""


@dataclass(frozen=True)
class EndpointRecord:
    """A webhook endpoint as stored."""

    id: str
    owner: str
    url: str | None
    description: str
    types: tuple[str, ...]
    secret: str
    created_at: int
    former_secret: str | None = None
    former_until: int | None = None
    failing_since: int | None = None
    disabled_at: int | None = None
    disabled_reason: str | None = None

    def signers(self, now: int) -> list[str]:
        """Return the secrets to sign with, newest first: two during the overlap after a rotation."""
        former = self.former_secret if (self.former_until or 0) > now else None
        return [self.secret] if former is None else [self.secret, former]


@dataclass(frozen=True)
class DeliveryRecord:
    """A delivery of a message to a receiver as stored."""

    sequence: int
    id: str
    message_id: str
    endpoint_id: str
    owner: str
    url: str | None
    state: str
    attempts: int
    next_at: int | None
    created_at: int
    ended_at: int | None
    type: str
    subject: str | None
    body: bytes | None


@dataclass(frozen=True)
class AttemptRecord:
    """An attempt to deliver a message as stored."""

    at: int
    status: int | None
    error: str | None
    duration_ms: int


ENDPOINT = select(*(getattr(EndpointRow, field.name) for field in fields(EndpointRecord)))

_OF_DELIVERY = [field.name for field in fields(DeliveryRecord) if field.name not in {"type", "subject", "body"}]

DELIVERY: Select[Any] = select(
    *(getattr(DeliveryRow, name) for name in _OF_DELIVERY), MessageRow.type, MessageRow.subject, MessageRow.body
).join(MessageRow, MessageRow.id == DeliveryRow.message_id)


def endpoint(row: Row[Any]) -> EndpointRecord:
    """Return the record of a row that ENDPOINT selected."""
    return EndpointRecord(**row._asdict() | {"types": tuple(orjson.loads(row.types))})


def delivery(row: Row[Any]) -> DeliveryRecord:
    """Return the record of a row that DELIVERY selected."""
    return DeliveryRecord(**row._asdict())
