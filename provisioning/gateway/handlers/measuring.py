"""Numbers for a monitor."""

from __future__ import annotations

from provisioning.gateway.monitoring import metrics, snapshot
from provisioning.gateway.services import Services
from provisioning.gateway.web.exchange import Exchange


async def show(services: Services, exchange: Exchange) -> None:
    """Answer with the gateway's metrics: requests, queue, jobs, GPU and cost."""
    page = services.metrics.page(await snapshot.take(services))
    await exchange.send(200, page, [("content-type", metrics.CONTENT_TYPE)])
