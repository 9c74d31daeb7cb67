"""What webhooks say: the type, the time, and the job as the Comfy API v2 shows it."""

from __future__ import annotations

from typing import Any

import orjson

from provisioning.gateway.handlers.batches import document
from provisioning.gateway.services import Services
from provisioning.gateway.telling.endings import sized
from provisioning.gateway.v2 import documents
from provisioning.gateway.webhooks.kinds import Kind
from provisioning.gateway.webhooks.records import Delivery


async def render(services: Services, delivery: Delivery) -> bytes | None:
    """Return a message's body; None when what it is about is gone. Raises Problem."""
    data = await _data(services, delivery)
    if data is None:
        return None
    told = {"type": delivery.type, "timestamp": documents.moment(delivery.created_at), "data": data}
    return orjson.dumps(told)


async def _data(services: Services, delivery: Delivery) -> dict[str, Any] | None:
    if delivery.type == Kind.TEST:
        return {"message": "This webhook works."}
    if delivery.type == Kind.BATCH_FINISHED:
        batch = await services.batches.get(delivery.subject or "", delivery.owner)
        return None if batch is None else await document(services, batch)
    row = await services.ledger.row(delivery.subject or "", delivery.owner)
    if row is None:
        return None
    assets = tuple([await sized(services, asset) for asset in await services.assets.of_job(row.id)])
    retention = services.settings.retention_days * documents.DAY_MS
    view = documents.View(_base(services), services.clock.now_ms(), retention, assets=assets)
    return documents.job(row, view)


def _base(services: Services) -> str:
    """Return where this gateway is, as its stack names it; a receiver cannot be told by a request's own Host."""
    named = [*services.settings.hosts, *sorted(services.settings.allowed_hosts)]
    return f"https://{named[0]}" if named else ""
