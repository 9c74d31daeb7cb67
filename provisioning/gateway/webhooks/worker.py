"""Sends due deliveries, each at least once, until the receiver accepts it or it is given up.

A delivery in progress when the process is killed is sent again after a restart: receivers recognise duplicates by id.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.problems import Problem
from provisioning.gateway.webhooks import signing
from provisioning.gateway.webhooks.backoff import Backoff
from provisioning.gateway.webhooks.deliveries import MAX_PER_ENDPOINT, Deliveries
from provisioning.gateway.webhooks.endpoints import Endpoints
from provisioning.gateway.webhooks.records import DeliveryRecord, EndpointRecord
from provisioning.gateway.webhooks.sender import MAX_CONNECTIONS, Sender

Render = Callable[[DeliveryRecord], Awaitable[bytes | None]]
"""Returns the body of a message; None when its job or batch no longer exists. May raise Problem."""

_log = logging.getLogger(__name__)


class DeliveryWorker:
    """Sends deliveries that are due."""

    def __init__(
        self,
        endpoints: Endpoints,
        deliveries: Deliveries,
        sender: Sender,
        backoff: Backoff,
        clock: Clock,
        poll_seconds: float,
    ) -> None:
        self._endpoints = endpoints
        self._deliveries = deliveries
        self._sender = sender
        self._backoff = backoff
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._per_endpoint: Counter[str] = Counter()
        self._one_ended = asyncio.Event()

    async def run(self, render: Render) -> None:
        """Send due deliveries until cancelled."""
        await self._sender.start()
        try:
            while True:
                self._one_ended.clear()
                with contextlib.suppress(Problem):
                    await self._begin_due(render)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._poll_seconds):
                        await self._one_ended.wait()
        finally:
            for task in self._busy.values():
                task.cancel()
            await asyncio.gather(*self._busy.values(), return_exceptions=True)
            await self._sender.close()

    async def _begin_due(self, render: Render) -> None:
        for delivery in await self._deliveries.due(self._clock.now_ms(), self._busy):
            if len(self._busy) < MAX_CONNECTIONS and self._per_endpoint[delivery.endpoint_id] < MAX_PER_ENDPOINT:
                self._begin(delivery, render)

    def _begin(self, delivery: DeliveryRecord, render: Render) -> None:
        self._per_endpoint[delivery.endpoint_id] += 1
        task = self._busy[delivery.id] = asyncio.create_task(self._deliver(delivery, render))
        task.add_done_callback(lambda _: self._ended(delivery))

    def _ended(self, delivery: DeliveryRecord) -> None:
        self._busy.pop(delivery.id, None)
        self._per_endpoint[delivery.endpoint_id] -= 1
        # Drops zero counts, so that deleted endpoints do not accumulate.
        self._per_endpoint += Counter()
        self._one_ended.set()

    async def _deliver(self, delivery: DeliveryRecord, render: Render) -> None:
        try:
            await self._attempt(delivery, render)
        except Problem as problem:
            _log.warning(
                "a webhook delivery was postponed", extra={"delivery_id": delivery.id, "code": problem.code.value}
            )
        except Exception:  # noqa: BLE001 - one delivery must not end the others
            _log.exception("a webhook delivery failed", extra={"delivery_id": delivery.id})

    async def _attempt(self, delivery: DeliveryRecord, render: Render) -> None:
        endpoint = await self._endpoints.get(delivery.endpoint_id, None)
        body = delivery.body or await self._body(delivery, render)
        url = delivery.url or (endpoint.url if endpoint else None)
        if endpoint is None or url is None or body is None or endpoint.disabled_at is not None:
            await self._deliveries.give_up(delivery, self._clock.now_ms())
            return
        result = await self._sender.post(url, self._headers(endpoint, delivery, body), body)
        now = self._clock.now_ms()
        then = self._backoff.next(delivery.attempts, delivery.created_at, result, now)
        await self._deliveries.attempted(delivery, result, now, then)
        extra = {"delivery_id": delivery.id, "status": result.status, "error": result.error, "state": then.state}
        _log.info("webhook delivery", extra=extra)

    def _headers(self, endpoint: EndpointRecord, delivery: DeliveryRecord, body: bytes) -> dict[str, str]:
        now = self._clock.now_ms()
        return signing.headers(endpoint.signers(now), delivery.message_id, now // 1000, body)

    async def _body(self, delivery: DeliveryRecord, render: Render) -> bytes | None:
        body = await render(delivery)
        if body is not None:
            await self._deliveries.keep_body(delivery.message_id, body)
        return body
