"""The gateway's description of itself, for machines and for people."""

from __future__ import annotations

from provisioning.gateway.services import Services
from provisioning.gateway.web.exchange import Exchange


async def openapi(services: Services, exchange: Exchange) -> None:
    """Answer with the OpenAPI document."""
    await exchange.send(200, services.reference.json, [("content-type", "application/json")])
