"""Request and response bodies of webhooks and deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, StrictBool, StrictInt, StringConstraints

from provisioning.gateway.core.http.schemas import (
    AnswerBody,
    IsoTime,
    RequestBody,
    RowQuery,
    iso_time,
    optional_iso_time,
)
from provisioning.gateway.webhooks import records
from provisioning.gateway.webhooks.event_types import EventType

SIGNER = "jobs"
"""The id of the endpoint without a URL, whose secret signs messages to the `webhook_url` of jobs."""

DAY_HOURS = 24
MAX_OVERLAP_HOURS = 168

JobEvent = Literal["job.succeeded", "job.failed", "job.canceled", "batch.finished"]
JOB_EVENTS: tuple[JobEvent, ...] = get_args(JobEvent)
"""The events that an endpoint may choose from."""


def _in_order(chosen: Sequence[JobEvent]) -> list[JobEvent]:
    return [event for event in JOB_EVENTS if event in chosen]


Url = Annotated[str, StringConstraints(min_length=1, max_length=2048)]
Events = Annotated[list[JobEvent], Field(min_length=1), AfterValidator(_in_order)]
Description = Annotated[str, StringConstraints(max_length=200)]


class CreateWebhook(RequestBody):
    """A webhook to create."""

    url: Url
    """An https:// URL on the public internet."""
    events: Events | None = None
    """Default: all events."""
    description: Description | None = None


class ChangeWebhook(RequestBody):
    """Changes of a webhook; fields that are left out do not change."""

    # Factories, since a plain default would appear in the reference as the value of a field that is left out.
    url: Url = Field(default_factory=str)
    events: Events | None = Field(default_factory=lambda: None)
    """null: all events."""
    description: Description | None = Field(default_factory=lambda: None)
    enabled: StrictBool = Field(default_factory=lambda: True)
    """`true` enables a disabled webhook."""


class RotateWebhook(RequestBody):
    """A new secret for a webhook."""

    overlap_hours: StrictInt = Field(default=DAY_HOURS, ge=0, le=MAX_OVERLAP_HOURS)
    """How long messages are signed with the old secret as well."""


class DeliveryQuery(RowQuery):
    """Which deliveries to list."""

    webhook: str | None = Field(default=None, examples=["whe_0f3b6a1c9d2e4f5a6b7c8d9e"])
    """List only the deliveries of this webhook."""


class Webhook(AnswerBody):
    """A webhook."""

    id: str
    owner: str
    url: str | None
    """null for `jobs`, which signs for the `webhook_url` of jobs."""
    events: list[str]
    description: str
    enabled: bool
    disabled_reason: str | None
    failing_since: IsoTime | None
    signatures: int
    """2 while messages are signed with the old secret as well, otherwise 1."""
    created_at: IsoTime

    @classmethod
    def of(cls, endpoint: records.EndpointRecord, now: int) -> Webhook:
        """Return the state of an endpoint at a time in milliseconds since the epoch."""
        return cls(
            id=endpoint.id if endpoint.url else SIGNER, owner=endpoint.owner, url=endpoint.url,
            events=list(endpoint.types), description=endpoint.description, enabled=endpoint.disabled_at is None,
            disabled_reason=endpoint.disabled_reason, failing_since=optional_iso_time(endpoint.failing_since),
            signatures=len(endpoint.signers(now)), created_at=iso_time(endpoint.created_at),
        )  # fmt: skip


class WebhookWithSecret(Webhook):
    """A webhook with its secret, which is shown only once."""

    secret: str = Field(pattern=r"^whsec_[A-Za-z0-9+/=]+$")

    @classmethod
    def issued(cls, endpoint: records.EndpointRecord, now: int) -> WebhookWithSecret:
        """Return a webhook as `Webhook.of` does, with its secret."""
        return cls(secret=endpoint.secret, **dict(Webhook.of(endpoint, now)))


class WebhookList(AnswerBody):
    """A list of webhooks."""

    webhooks: list[Webhook]


class Delivery(AnswerBody):
    """A delivery of a message to a receiver."""

    id: str
    message_id: str
    """The header `webhook-id`: the same for every attempt and redelivery."""
    webhook_id: str
    event: EventType
    subject: str | None
    """The id of the job or batch."""
    state: records.DeliveryState
    tries: int
    next_attempt_at: IsoTime | None
    created_at: IsoTime
    ended_at: IsoTime | None

    @classmethod
    def of(cls, record: records.DeliveryRecord) -> Delivery:
        """Return a delivery."""
        return cls(
            id=record.id, message_id=record.message_id, webhook_id=SIGNER if record.url else record.endpoint_id,
            event=EventType(record.type), subject=record.subject, state=records.DeliveryState(record.state),
            tries=record.attempts, next_attempt_at=optional_iso_time(record.next_at),
            created_at=iso_time(record.created_at), ended_at=optional_iso_time(record.ended_at),
        )  # fmt: skip


class Attempt(AnswerBody):
    """An attempt to deliver a message."""

    at: IsoTime
    status: int | None
    error: str | None
    duration_ms: int

    @classmethod
    def of(cls, record: records.AttemptRecord) -> Attempt:
        """Return an attempt."""
        return cls(at=iso_time(record.at), status=record.status, error=record.error, duration_ms=record.duration_ms)


class DeliveryWithAttempts(Delivery):
    """A delivery with all its attempts."""

    attempts: list[Attempt]

    @classmethod
    def attempted(
        cls, record: records.DeliveryRecord, attempts: Sequence[records.AttemptRecord]
    ) -> DeliveryWithAttempts:
        """Return a delivery as `Delivery.of` does, with its attempts."""
        return cls(attempts=[Attempt.of(attempt) for attempt in attempts], **dict(Delivery.of(record)))


class DeliveryPage(AnswerBody):
    """A page of deliveries."""

    deliveries: list[Delivery]
    next_cursor: str | None
