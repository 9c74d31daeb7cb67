"""Webhooks."""

from __future__ import annotations

from provisioning.gateway.openapi.models import webhooks as models
from provisioning.gateway.openapi.operation import Answer, Body, Operation, Parameter, Tag
from provisioning.gateway.openapi.parameters import JOB_ID, whole
from provisioning.gateway.problems import Code

_ID = "whe_0f3b6a1c9d2e4f5a6b7c8d9e"
_AT = "2026-01-01T00:00:00.000+00:00"
_URL = "https://bot.example.com/hooks/comfyui"

WEBHOOK = {
    "id": _ID, "owner": "bot", "url": _URL, "events": ["job.succeeded", "job.failed"], "description": "the bot",
    "enabled": True, "disabled_reason": None, "failing_since": None, "signatures": 1, "created_at": _AT,
}  # fmt: skip

WITH_SECRET = WEBHOOK | {"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="}

DELIVERY = {
    "id": "whd_0f3b6a1c9d2e4f5a6b7c8d9e", "message_id": "msg_0f3b6a1c9d2e4f5a6b7c8d9e", "webhook_id": _ID,
    "event": "job.succeeded", "subject": JOB_ID, "state": "delivered", "tries": 1, "next_attempt_at": None,
    "created_at": _AT, "ended_at": _AT,
}  # fmt: skip

ATTEMPTS = {"attempts": [{"at": _AT, "status": 204, "error": None, "duration_ms": 84}]}

_WEBHOOK_ID = Parameter(
    "id", "A webhook's id; `jobs` is the one that signs for single jobs.", _ID, "path", required=True
)
_DELIVERY_ID = Parameter("id", "A delivery's id.", DELIVERY["id"], "path", required=True)

_SIGNED = (
    "Messages follow the Standard Webhooks scheme: verify `webhook-id`, `webhook-timestamp` and `webhook-signature` "
    "with its library. One that is not answered with 2xx within 15 s is sent again, later and later, for a day; tell "
    "repetitions by `webhook-id`. Redirects are not followed, and the address must be on the public internet."
)


def _shown(text: str, *, secret: bool = False, status: int = 200) -> tuple[Answer, ...]:
    model, example = (models.WebhookWithSecret, WITH_SECRET) if secret else (models.Webhook, WEBHOOK)
    return (Answer(text, model, example, status),)


TABLE = {
    "GET /api/gateway/webhooks": Operation(
        Tag.GATEWAY,
        "List webhooks",
        (Answer("Oldest first; an admin sees everybody's.", models.Webhooks, {"webhooks": [WEBHOOK]}),),
    ),
    "POST /api/gateway/webhooks": Operation(
        Tag.GATEWAY,
        "Create a webhook",
        _shown("It is there; the secret is shown this once.", secret=True, status=201),
        _SIGNED,
        body=Body(models.CreateWebhook, {"url": _URL, "events": ["job.succeeded", "job.failed"]}),
        problems=(Code.INVALID_FIELD, Code.WEBHOOK_URL_FORBIDDEN, Code.TOO_MANY_WEBHOOKS),
    ),
    "GET /api/gateway/webhooks/{id}": Operation(
        Tag.GATEWAY, "Show a webhook", _shown("Without its secret."), parameters=(_WEBHOOK_ID,)
    ),
    "PATCH /api/gateway/webhooks/{id}": Operation(
        Tag.GATEWAY,
        "Change a webhook",
        _shown("As it is now."),
        parameters=(_WEBHOOK_ID,),
        body=Body(models.ChangeWebhook, {"enabled": True}, required=False),
        problems=(Code.INVALID_FIELD, Code.WEBHOOK_URL_FORBIDDEN),
    ),
    "DELETE /api/gateway/webhooks/{id}": Operation(
        Tag.GATEWAY, "Delete a webhook", (Answer("It is gone.", status=204, media=None),), parameters=(_WEBHOOK_ID,)
    ),
    "POST /api/gateway/webhooks/{id}/rotate": Operation(
        Tag.GATEWAY,
        "Rotate a webhook's secret",
        _shown("The new secret, shown this once.", secret=True),
        "For `overlap_hours` there are two signatures, one by the former secret. `jobs` gets its first secret so.",
        (_WEBHOOK_ID,),
        Body(models.RotateWebhook, {"overlap_hours": 24}, required=False),
        (Code.INVALID_FIELD,),
    ),
    "POST /api/gateway/webhooks/{id}/test": Operation(
        Tag.GATEWAY,
        "Test a webhook",
        (Answer("A `webhook.test` is on its way.", models.Delivery, DELIVERY | {"event": "webhook.test"}, 202),),
        parameters=(_WEBHOOK_ID,),
    ),
    "GET /api/gateway/webhook-deliveries": Operation(
        Tag.GATEWAY,
        "List deliveries",
        (Answer("Newest first.", models.Deliveries, {"deliveries": [DELIVERY], "next_cursor": None}),),
        parameters=(
            whole("limit", "Deliveries per page; more than 100 are never given.", 20, least=1),
            Parameter("cursor", "`next_cursor` of the page before.", "4711", schema={"type": "string"}),
            Parameter("webhook", "Of one webhook alone.", _ID),
        ),
        problems=(Code.INVALID_REQUEST,),
    ),
    "GET /api/gateway/webhook-deliveries/{id}": Operation(
        Tag.GATEWAY,
        "Show a delivery",
        (Answer("With every attempt.", models.DeliveryWithAttempts, DELIVERY | ATTEMPTS),),
        parameters=(_DELIVERY_ID,),
    ),
    "POST /api/gateway/webhook-deliveries/{id}/redeliver": Operation(
        Tag.GATEWAY,
        "Send a message once more",
        (Answer("The new delivery.", models.Delivery, DELIVERY | {"state": "pending"}, 202),),
        "The same body under the same `webhook-id`.",
        (_DELIVERY_ID,),
    ),
}
