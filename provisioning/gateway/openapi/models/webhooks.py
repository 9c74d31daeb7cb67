"""Requests and answers about webhooks."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, ConfigDict, Field

from provisioning.gateway.openapi.models.base import Answered, Sent
from provisioning.gateway.webhooks.kinds import CHOICE, Kind

Event = Literal["job.succeeded", "job.failed", "job.canceled", "batch.finished"]


class _Strict(Sent):
    model_config = ConfigDict(extra="forbid")


class CreateWebhook(_Strict):
    """A new endpoint."""

    url: str = Field(description="An https:// address on the public internet.", min_length=1, max_length=2048)
    events: list[Event] | None = Field(default=None, description=f"All of {', '.join(CHOICE)} when left out.")
    description: str | None = Field(default=None, max_length=200)


class ChangeWebhook(_Strict):
    """What is to change; the rest stays."""

    url: str = Field(default="", max_length=2048)
    events: list[Event] | None = None
    description: str | None = Field(default=None, max_length=200)
    enabled: bool = Field(default=True, description="`true` brings back one that was disabled.")


class RotateWebhook(_Strict):
    """How long the former secret signs as well."""

    overlap_hours: int = Field(default=24, ge=0, le=168)


class Webhook(Answered):
    """An endpoint."""

    id: str
    owner: str
    url: str | None = Field(description="Null for `jobs`, which signs for the `webhook_url` of single jobs.")
    events: list[str]
    description: str
    enabled: bool
    disabled_reason: str | None
    failing_since: AwareDatetime | None
    signatures: int = Field(description="2 while a former secret signs as well.")
    created_at: AwareDatetime


class WebhookWithSecret(Webhook):
    """An endpoint with its secret, which is shown this once."""

    secret: str = Field(pattern=r"^whsec_[A-Za-z0-9+/=]+$")


class Webhooks(Answered):
    """Endpoints."""

    webhooks: list[Webhook]


class Delivery(Answered):
    """A message on its way to one receiver."""

    id: str
    message_id: str = Field(description="The header `webhook-id`: the same for every attempt and redelivery.")
    webhook_id: str
    event: Kind
    subject: str | None = Field(description="The id of the job or batch.")
    state: Literal["pending", "delivered", "failed"]
    tries: int
    next_attempt_at: AwareDatetime | None
    created_at: AwareDatetime
    ended_at: AwareDatetime | None


class Attempt(Answered):
    """One request that was made."""

    at: AwareDatetime
    status: int | None
    error: str | None
    duration_ms: int


class DeliveryWithAttempts(Delivery):
    """A delivery and every attempt of it."""

    attempts: list[Attempt]


class Deliveries(Answered):
    """A page of deliveries."""

    deliveries: list[Delivery]
    next_cursor: str | None
