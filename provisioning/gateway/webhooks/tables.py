"""The tables of webhooks. URLs, secrets and bodies, which name files and errors, are encrypted if the option is on."""

from __future__ import annotations

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.gateway.core.database.encryption import Sealed, SealedText
from provisioning.gateway.core.database.tables import Base, Sequence


class EndpointRow(Base):
    """A webhook endpoint: its URL, its event types and the secrets that sign its messages."""

    __tablename__ = "webhook_endpoints"

    sequence: Mapped[Sequence]
    id: Mapped[str] = mapped_column(unique=True)
    owner: Mapped[str]
    url: Mapped[str | None] = mapped_column(SealedText("webhook_endpoints.url"))
    """None for the endpoint whose secret signs messages to the `webhook_url` of jobs and batches."""
    description: Mapped[str] = mapped_column(SealedText("webhook_endpoints.description"))
    types: Mapped[str]
    """A JSON list."""
    secret: Mapped[str] = mapped_column(SealedText("webhook_endpoints.secret"))
    former_secret: Mapped[str | None] = mapped_column(SealedText("webhook_endpoints.former_secret"))
    former_until: Mapped[int | None]
    created_at: Mapped[int]
    failing_since: Mapped[int | None]
    disabled_at: Mapped[int | None]
    disabled_reason: Mapped[str | None]


class TargetRow(Base):
    """The `webhook_url` of a single job or batch."""

    __tablename__ = "webhook_targets"

    subject: Mapped[str] = mapped_column(primary_key=True)
    """The id of the job or batch."""
    endpoint_id: Mapped[str]
    """The endpoint whose secret signs the message."""
    url: Mapped[str] = mapped_column(SealedText("webhook_targets.url"))


class MessageRow(Base):
    """A message; its id is the same for all receivers and attempts."""

    __tablename__ = "webhook_messages"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    type: Mapped[str]
    subject: Mapped[str | None]
    """The id of the job or batch."""
    body: Mapped[bytes | None] = mapped_column(Sealed("webhook_messages.body"))
    """None until the first attempt; later attempts send the same body."""
    created_at: Mapped[int]


class DeliveryRow(Base):
    """A delivery of a message to a receiver."""

    __tablename__ = "webhook_deliveries"

    sequence: Mapped[Sequence]
    id: Mapped[str] = mapped_column(unique=True)
    message_id: Mapped[str]
    endpoint_id: Mapped[str]
    owner: Mapped[str]
    url: Mapped[str | None] = mapped_column(SealedText("webhook_deliveries.url"))
    """The `webhook_url` of a job or batch; None for the endpoint's URL at the time of the attempt."""
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    next_at: Mapped[int | None]
    """None when there is no further attempt."""
    created_at: Mapped[int]
    ended_at: Mapped[int | None]


class AttemptRow(Base):
    """An attempt to deliver a message."""

    __tablename__ = "webhook_attempts"

    sequence: Mapped[Sequence]
    delivery_id: Mapped[str]
    at: Mapped[int]
    status: Mapped[int | None]
    """The status of the receiver's response; None without a response."""
    error: Mapped[str | None]
    duration_ms: Mapped[int]


_WAITING = DeliveryRow.next_at.is_not(None)

Index("webhook_endpoints_by_owner", EndpointRow.owner)
Index("webhook_messages_by_time", MessageRow.created_at)
Index("webhook_deliveries_by_owner", DeliveryRow.owner, DeliveryRow.sequence)
Index("webhook_deliveries_by_message", DeliveryRow.message_id)
Index("webhook_deliveries_due", DeliveryRow.next_at, sqlite_where=_WAITING, postgresql_where=_WAITING)
Index("webhook_attempts_by_delivery", AttemptRow.delivery_id)
