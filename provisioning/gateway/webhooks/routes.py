"""The operations on webhooks."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from provisioning.gateway.admin.audit import AuditAction
from provisioning.gateway.admin.audit_context import AuditTrail
from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.http.operation import Answer, Body, Operation, Parameter, Tag
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.core.time_units import HOUR_MS
from provisioning.gateway.webhooks.delivery_routes import DELIVERY
from provisioning.gateway.webhooks.records import EndpointRecord
from provisioning.gateway.webhooks.schemas import (
    JOB_EVENTS,
    SIGNER,
    ChangeWebhook,
    CreateWebhook,
    Delivery,
    RotateWebhook,
    Webhook,
    WebhookList,
    WebhookWithSecret,
)
from provisioning.gateway.webhooks.service import Webhooks

URL = "https://bot.example.com/hooks/comfyui"
WEBHOOK: dict[str, Any] = {
    "id": DELIVERY["webhook_id"],
    "owner": "bot",
    "url": URL,
    "events": ["job.succeeded", "job.failed"],
    "description": "the bot",
    "enabled": True,
    "disabled_reason": None,
    "failing_since": None,
    "signatures": 1,
    "created_at": "2026-01-01T00:00:00.000+00:00",
}
WITH_SECRET = {**WEBHOOK, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="}
ID = Parameter(
    "id",
    "A webhook's id; `jobs` is the one that signs for the `webhook_url` of jobs.",
    WEBHOOK["id"],
    "path",
    required=True,
)
SIGNED = (
    "Messages follow the Standard Webhooks scheme: verify `webhook-id`, `webhook-timestamp` and `webhook-signature` "
    "with one of its libraries. A message that is not answered with 2xx within 15 s is retried for a day, at growing "
    "intervals; recognise duplicates by `webhook-id`. Redirects are not followed. The URL must be on the public "
    "internet."
)


class WebhookRoutes:
    """Lets callers manage the endpoints that receive messages about their jobs."""

    def __init__(self, webhooks: Webhooks, audit: AuditTrail, clock: Clock) -> None:
        self._webhooks = webhooks
        self._endpoints = webhooks.endpoints
        self._deliveries = webhooks.deliveries
        self._audit = audit
        self._clock = clock

    @Operation(
        method="GET",
        path="/api/gateway/webhooks",
        access=Scope.READ,
        tag=Tag.GATEWAY,
        summary="List webhooks",
        answers=(
            Answer(
                "The webhooks, oldest first; for an admin, those of all users.", WebhookList, {"webhooks": [WEBHOOK]}
            ),
        ),
    )
    async def list(self, request: GatewayRequest) -> WebhookList:
        """List the endpoints that the caller may see, oldest first."""
        found = await self._endpoints.list_visible(request.who.visible_owner)
        return WebhookList(webhooks=[self._shown(endpoint) for endpoint in found])

    @Operation(
        method="POST",
        path="/api/gateway/webhooks",
        access=Scope.JOBS,
        tag=Tag.GATEWAY,
        summary="Create a webhook",
        text=SIGNED,
        body=Body(CreateWebhook, {"url": URL, "events": ["job.succeeded", "job.failed"]}, invalid=Code.INVALID_FIELD),
        answers=(Answer("The webhook; its secret is shown only once.", WebhookWithSecret, WITH_SECRET, 201),),
        problems=(Code.INVALID_FIELD, Code.WEBHOOK_URL_FORBIDDEN, Code.TOO_MANY_WEBHOOKS),
    )
    async def create(self, request: GatewayRequest, body: CreateWebhook) -> WebhookWithSecret:
        """Add an endpoint and show its secret, once."""
        url = await self._webhooks.check(body.url)
        endpoint = await self._endpoints.create(
            request.who.owner, url, body.events or JOB_EVENTS, body.description or ""
        )
        return WebhookWithSecret.issued(endpoint, self._clock.now_ms())

    @Operation(
        method="GET",
        path="/api/gateway/webhooks/{id}",
        access=Scope.READ,
        tag=Tag.GATEWAY,
        summary="Show a webhook",
        parameters=(ID,),
        answers=(Answer("The webhook without its secret.", Webhook, WEBHOOK),),
    )
    async def show(self, request: GatewayRequest) -> Webhook:
        """Show an endpoint."""
        return self._shown(await self._find(request))

    @Operation(
        method="PATCH",
        path="/api/gateway/webhooks/{id}",
        access=Scope.JOBS,
        tag=Tag.GATEWAY,
        summary="Change a webhook",
        parameters=(ID,),
        body=Body(ChangeWebhook, {"enabled": True}, required=False, invalid=Code.INVALID_FIELD),
        answers=(Answer("The changed webhook.", Webhook, WEBHOOK),),
        problems=(Code.INVALID_FIELD, Code.WEBHOOK_URL_FORBIDDEN),
    )
    async def change(self, request: GatewayRequest, body: ChangeWebhook) -> Webhook:
        """Change an endpoint; `enabled` enables or disables it."""
        endpoint = await self._find_with_url(request)
        given = body.model_dump(exclude_unset=True)
        if "url" in given:
            given["url"] = await self._webhooks.check(body.url)
        if given:
            await self._audit.on_anothers(request, AuditAction.WEBHOOK_UPDATED, endpoint.id, endpoint.owner)
            await self._endpoints.change(endpoint, given)
        return self._shown(await self._find(request))

    @Operation(
        method="DELETE",
        path="/api/gateway/webhooks/{id}",
        access=Scope.JOBS,
        tag=Tag.GATEWAY,
        summary="Delete a webhook",
        parameters=(ID,),
        answers=(Answer("The webhook is deleted.", status=204, media=None),),
    )
    async def delete(self, request: GatewayRequest) -> Response:
        """Delete an endpoint."""
        endpoint = await self._find_with_url(request)
        await self._audit.on_anothers(request, AuditAction.WEBHOOK_DELETED, endpoint.id, endpoint.owner)
        await self._endpoints.delete(endpoint)
        return Response(status_code=204)

    @Operation(
        method="POST",
        path="/api/gateway/webhooks/{id}/rotate",
        access=Scope.JOBS,
        tag=Tag.GATEWAY,
        summary="Rotate a webhook's secret",
        text="For `overlap_hours`, messages are signed with the old secret as well. Rotating `jobs` shows its first "
        "secret.",
        parameters=(ID,),
        body=Body(RotateWebhook, {"overlap_hours": 24}, required=False, invalid=Code.INVALID_FIELD),
        answers=(Answer("The webhook; its new secret is shown only once.", WebhookWithSecret, WITH_SECRET),),
        problems=(Code.INVALID_FIELD,),
    )
    async def rotate(self, request: GatewayRequest, body: RotateWebhook) -> WebhookWithSecret:
        """Give an endpoint a new secret; for some hours messages are signed with the old one as well."""
        endpoint = await self._find(request)
        await self._audit.on_anothers(request, AuditAction.WEBHOOK_ROTATED, endpoint.id, endpoint.owner)
        await self._endpoints.rotate(endpoint, body.overlap_hours * HOUR_MS)
        return WebhookWithSecret.issued(await self._find(request), self._clock.now_ms())

    @Operation(
        method="POST",
        path="/api/gateway/webhooks/{id}/test",
        access=Scope.JOBS,
        tag=Tag.GATEWAY,
        summary="Test a webhook",
        parameters=(ID,),
        answers=(
            Answer("The delivery of a `webhook.test` message.", Delivery, {**DELIVERY, "event": "webhook.test"}, 202),
        ),
    )
    async def test(self, request: GatewayRequest) -> Delivery:
        """Send a test message, and show its delivery."""
        endpoint = await self._find_with_url(request)
        await self._audit.on_anothers(request, AuditAction.WEBHOOK_TESTED, endpoint.id, endpoint.owner)
        sent = await self._deliveries.test(endpoint.owner, endpoint.id, self._clock.now_ms())
        return Delivery.of(await self._deliveries.find(sent, request.who.visible_owner))

    async def _find(self, request: GatewayRequest) -> EndpointRecord:
        """Return the endpoint that the path names; raises Problem NOT_FOUND."""
        endpoint_id = request.path_params["id"]
        if endpoint_id == SIGNER:
            return await self._endpoints.signer(request.who.owner)
        found = await self._endpoints.get(endpoint_id, request.who.visible_owner)
        if found is None:
            raise Problem(Code.NOT_FOUND)
        return found

    async def _find_with_url(self, request: GatewayRequest) -> EndpointRecord:
        """Return an endpoint that has a URL; raises Problem NOT_FOUND."""
        endpoint = await self._find(request)
        if endpoint.url is None:
            raise Problem(Code.NOT_FOUND)
        return endpoint

    def _shown(self, endpoint: EndpointRecord) -> Webhook:
        return Webhook.of(endpoint, self._clock.now_ms())
