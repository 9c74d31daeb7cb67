"""The outbox: webhook messages, written in the transaction of the event that they report."""

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
_LIVING = select(EndpointRow.id, EndpointRow.types).where(
    EndpointRow.owner == bindparam("owner"), EndpointRow.disabled_at.is_(None)
)

Receiver = tuple[str, str | None]
"""An endpoint's id, and a single job's or batch's address where it is not the endpoint's own."""


def new_id(prefix: str) -> str:
    """Return a random id."""
    return f"{prefix}_{secrets.token_hex(12)}"


def follow(connection: Connection, owner: str, subject: str, url: str, now: int) -> None:
    """Have the end of a single job or batch told to an address of its own."""
    target = {"subject": subject, "endpoint_id": signer(connection, owner, now), "url": url}
    connection.execute(insert(TargetRow).values(target))


def signer(connection: Connection, owner: str, now: int) -> str:
    """Return the endpoint without an address whose secret signs what goes to an own addresses of an owner's jobs."""
    # Its id is made from the owner's name, so that two transactions cannot make two.
    endpoint_id = f"jobs:{owner}"
    values = {
        "id": endpoint_id, "owner": owner, "types": "[]",
        "description": "Signs what is sent to the webhook_url of single jobs and batches.",
        "secret": signing.mint(), "created_at": now,
    }  # fmt: skip
    sql_helpers.add_new(connection, EndpointRow, values)
    return endpoint_id


def enqueue_end(connection: Connection, owner: str, kind: EventType, subject: str, now: int) -> None:
    """Have the end of a job or batch told, to its own address and to every endpoint of its owner that chose the kind.

    Its own address is forgotten: there is one end.
    """
    receivers: list[Receiver] = [(endpoint_id, None) for endpoint_id in _chosen(connection, owner, kind)]
    target = connection.execute(_TARGET, {"subject": subject}).one_or_none()
    if target is not None:
        receivers.append((target.endpoint_id, target.url))
        connection.execute(_FORGET_TARGET, {"subject": subject})
    if receivers:
        enqueue(connection, owner, kind, subject, receivers, now)


def _chosen(connection: Connection, owner: str, kind: EventType) -> list[str]:
    return [row.id for row in connection.execute(_LIVING, {"owner": owner}) if kind in orjson.loads(row.types)]


def enqueue(
    connection: Connection,
    owner: str,
    kind: EventType,
    subject: str | None,
    receivers: Sequence[Receiver],
    now: int,
) -> list[str]:
    """Write down a message and its way to each receiver; returns the deliveries' ids."""
    message = {"id": new_id("msg"), "owner": owner, "type": kind, "subject": subject, "created_at": now}
    connection.execute(insert(MessageRow).values(message))
    return [send(connection, owner, str(message["id"]), receiver, now) for receiver in receivers]


def send(connection: Connection, owner: str, message_id: str, receiver: Receiver, now: int) -> str:
    """Write down that a message is to go to a receiver; returns the delivery's id."""
    endpoint_id, url = receiver
    values = {
        "id": new_id("whd"), "message_id": message_id, "endpoint_id": endpoint_id, "owner": owner, "url": url,
        "state": PENDING, "next_at": now, "created_at": now,
    }  # fmt: skip
    connection.execute(insert(DeliveryRow).values(values))
    return str(values["id"])
