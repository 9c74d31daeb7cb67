"""Endpoints and deliveries as the rest of the gateway sees them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import Row, Select, select

from provisioning.gateway.webhooks.tables import DeliveryRow, EndpointRow, MessageRow


class DeliveryState(StrEnum):
    """How far a delivery is."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    """Given up after a day of attempts, or its endpoint is gone or disabled."""


@dataclass(frozen=True)
class Endpoint:
    """Where an owner wants to be told."""

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
        """Return the secrets to sign with, the newest first; for a while after a rotation there are two."""
        former = self.former_secret if (self.former_until or 0) > now else None
        return [self.secret] if former is None else [self.secret, former]


@dataclass(frozen=True)
class Delivery:
    """A message on its way to one receiver."""

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
class Attempt:
    """One request that was made."""

    at: int
    status: int | None
    error: str | None
    duration_ms: int


ENDPOINT = select(*(getattr(EndpointRow, field.name) for field in fields(Endpoint)))

_OF_DELIVERY = [field.name for field in fields(Delivery) if field.name not in {"type", "subject", "body"}]

DELIVERY: Select[Any] = select(
    *(getattr(DeliveryRow, name) for name in _OF_DELIVERY), MessageRow.type, MessageRow.subject, MessageRow.body
).join(MessageRow, MessageRow.id == DeliveryRow.message_id)


def endpoint(row: Row[Any]) -> Endpoint:
    """Return a row that ENDPOINT found."""
    return Endpoint(**row._asdict() | {"types": tuple(orjson.loads(row.types))})


def delivery(row: Row[Any]) -> Delivery:
    """Return a row that DELIVERY found."""
    return Delivery(**row._asdict())
