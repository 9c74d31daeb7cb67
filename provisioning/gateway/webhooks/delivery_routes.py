"""The operations on deliveries of webhook messages."""

from __future__ import annotations

from typing import Any

from provisioning.gateway.admin.audit import AuditAction
from provisioning.gateway.admin.audit_context import AuditTrail
from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.http.operation import Answer, Operation, Parameter, Tag
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.problems import Code
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.webhooks.records import DeliveryRecord
from provisioning.gateway.webhooks.schemas import SIGNER, Delivery, DeliveryPage, DeliveryQuery, DeliveryWithAttempts
from provisioning.gateway.webhooks.service import Webhooks

AT = "2026-01-01T00:00:00.000+00:00"
DELIVERY: dict[str, Any] = {
    "id": "whd_0f3b6a1c9d2e4f5a6b7c8d9e",
    "message_id": "msg_0f3b6a1c9d2e4f5a6b7c8d9e",
    "webhook_id": "whe_0f3b6a1c9d2e4f5a6b7c8d9e",
    "event": "job.succeeded",
    "subject": "0b8f6c1e-7a55-4d0e-9f7c-3f1c2a9d4e10",
    "state": "delivered",
    "tries": 1,
    "next_attempt_at": None,
    "created_at": AT,
    "ended_at": AT,
}
ATTEMPTS = [{"at": AT, "status": 204, "error": None, "duration_ms": 84}]
ID = Parameter("id", "A delivery's id.", DELIVERY["id"], "path", required=True)


class DeliveryRoutes:
    """Shows callers the deliveries to their webhooks."""

    def __init__(self, webhooks: Webhooks, audit: AuditTrail, clock: Clock) -> None:
        self._endpoints = webhooks.endpoints
        self._deliveries = webhooks.deliveries
        self._audit = audit
        self._clock = clock

    @Operation(
        method="GET",
        path="/api/gateway/webhook-deliveries",
        access=Scope.READ,
        tag=Tag.GATEWAY,
        summary="List deliveries",
        query=DeliveryQuery,
        answers=(
            Answer(
                "A page of deliveries, newest first.", DeliveryPage, {"deliveries": [DELIVERY], "next_cursor": None}
            ),
        ),
        problems=(Code.INVALID_REQUEST,),
    )
    async def list(self, request: GatewayRequest, query: DeliveryQuery) -> DeliveryPage:
        """List the deliveries that the caller may see, newest first."""
        endpoint = query.webhook
        if endpoint == SIGNER:
            endpoint = (await self._endpoints.signer(request.who.owner)).id
        found = await self._deliveries.page(
            request.who.visible_owner, before=query.before, limit=query.page_size, endpoint_id=endpoint
        )
        cursor = query.next_cursor([delivery.sequence for delivery in found])
        return DeliveryPage(deliveries=[Delivery.of(delivery) for delivery in found], next_cursor=cursor)

    @Operation(
        method="GET",
        path="/api/gateway/webhook-deliveries/{id}",
        access=Scope.READ,
        tag=Tag.GATEWAY,
        summary="Show a delivery",
        parameters=(ID,),
        answers=(
            Answer("The delivery with all its attempts.", DeliveryWithAttempts, {**DELIVERY, "attempts": ATTEMPTS}),
        ),
    )
    async def show(self, request: GatewayRequest) -> DeliveryWithAttempts:
        """Show a delivery with all its attempts."""
        found = await self._find(request, request.path_params["id"])
        return DeliveryWithAttempts.attempted(found, await self._deliveries.attempts(found))

    @Operation(
        method="POST",
        path="/api/gateway/webhook-deliveries/{id}/redeliver",
        access=Scope.JOBS,
        tag=Tag.GATEWAY,
        summary="Send a message again",
        text="Sends the same body with the same `webhook-id`.",
        parameters=(ID,),
        answers=(Answer("The new delivery.", Delivery, {**DELIVERY, "state": "pending"}, 202),),
    )
    async def redeliver(self, request: GatewayRequest) -> Delivery:
        """Send a message again with the same id, and show the new delivery."""
        found = await self._find(request, request.path_params["id"])
        await self._audit.on_anothers(request, AuditAction.REDELIVERED, found.id, found.owner)
        return Delivery.of(await self._find(request, await self._deliveries.redeliver(found, self._clock.now_ms())))

    async def _find(self, request: GatewayRequest, delivery_id: str) -> DeliveryRecord:
        return await self._deliveries.find(delivery_id, request.who.visible_owner)
