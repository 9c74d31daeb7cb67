"""The outbox: webhook messages, stored in the transaction of the event that they report."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import orjson
from sqlalchemy import Connection, bindparam, delete, insert, select

from provisioning.gateway.core.database import sql_helpers
from provisioning.gateway.webhooks import signing
from provisioning.gateway.webhooks.event_types import EventType
from provisioning.gateway.webhooks.tables import DeliveryRow, EndpointRow, MessageRow, TargetRow

PENDING = "pending"

# Statements are built once: to build one costs more than to execute it.
_OWN = TargetRow.subject == bindparam("subject")
_TARGET = select(TargetRow.endpoint_id, TargetRow.url).where(_OWN)
_FORGET_TARGET = delete(TargetRow).where(_OWN)
_ENABLED = select(EndpointRow.id, EndpointRow.types).where(
    EndpointRow.owner == bindparam("owner"), EndpointRow.disabled_at.is_(None)
)

Receiver = tuple[str, str | None]
"""An endpoint's id, and the `webhook_url` of a single job or batch; None for the endpoint's own URL."""


def new_id(prefix: str) -> str:
    """Return a random id."""
    return f"{prefix}_{secrets.token_hex(12)}"


def add_target(connection: Connection, owner: str, subject: str, url: str, now: int) -> None:
    """Store the `webhook_url` of a job or batch, which gets a message at its end."""
    target = {"subject": subject, "endpoint_id": signer(connection, owner, now), "url": url}
    connection.execute(insert(TargetRow).values(target))


def signer(connection: Connection, owner: str, now: int) -> str:
    """Return the id of the owner's endpoint without a URL, whose secret signs messages to the `webhook_url` of jobs."""
    # Its id contains the owner's name, so that two transactions cannot create two of them.
    endpoint_id = f"jobs:{owner}"
    values = {
        "id": endpoint_id, "owner": owner, "types": "[]",
        "description": "Signs what is sent to the webhook_url of single jobs and batches.",
        "secret": signing.mint(), "created_at": now,
    }  # fmt: skip
    sql_helpers.add_new(connection, EndpointRow, values)
    return endpoint_id


def enqueue_end(connection: Connection, owner: str, kind: EventType, subject: str, now: int) -> None:
    """Enqueue the messages about the end of a job or batch, to its `webhook_url` and to the owner's endpoints.

    Deletes the stored `webhook_url`, since a job ends once.
    """
    receivers: list[Receiver] = [(endpoint_id, None) for endpoint_id in _chosen(connection, owner, kind)]
    target = connection.execute(_TARGET, {"subject": subject}).one_or_none()
    if target is not None:
        receivers.append((target.endpoint_id, target.url))
        connection.execute(_FORGET_TARGET, {"subject": subject})
    if receivers:
        enqueue(connection, owner, kind, subject, receivers, now)


def _chosen(connection: Connection, owner: str, kind: EventType) -> list[str]:
    return [row.id for row in connection.execute(_ENABLED, {"owner": owner}) if kind in orjson.loads(row.types)]


def enqueue(
    connection: Connection,
    owner: str,
    kind: EventType,
    subject: str | None,
    receivers: Sequence[Receiver],
    now: int,
) -> list[str]:
    """Store a message and a delivery to each receiver; returns the ids of the deliveries."""
    message = {"id": new_id("msg"), "owner": owner, "type": kind, "subject": subject, "created_at": now}
    connection.execute(insert(MessageRow).values(message))
    return [add_delivery(connection, owner, str(message["id"]), receiver, now) for receiver in receivers]


def add_delivery(connection: Connection, owner: str, message_id: str, receiver: Receiver, now: int) -> str:
    """Store a pending delivery of a message to a receiver; returns its id."""
    endpoint_id, url = receiver
    values = {
        "id": new_id("whd"), "message_id": message_id, "endpoint_id": endpoint_id, "owner": owner, "url": url,
        "state": PENDING, "next_at": now, "created_at": now,
    }  # fmt: skip
    connection.execute(insert(DeliveryRow).values(values))
    return str(values["id"])
