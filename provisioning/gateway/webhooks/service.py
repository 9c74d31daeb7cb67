"""The webhooks of the gateway: endpoints, deliveries and their worker."""

from __future__ import annotations

from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.database.database import Database
from provisioning.gateway.core.settings import GatewaySettings
from provisioning.gateway.core.time_units import DAY_MS, HOUR_MS
from provisioning.gateway.webhooks.backoff import Backoff
from provisioning.gateway.webhooks.deliveries import Deliveries
from provisioning.gateway.webhooks.endpoints import Endpoints
from provisioning.gateway.webhooks.sender import Sender
from provisioning.gateway.webhooks.ssrf import AddressRules, Guard
from provisioning.gateway.webhooks.worker import DeliveryWorker


class Webhooks:
    """Endpoints, deliveries, and the worker that sends them."""

    def __init__(self, database: Database, clock: Clock, settings: GatewaySettings) -> None:
        rules = AddressRules(
            settings.webhook_allow_http, settings.webhook_allow_private, ports=frozenset(settings.webhook_ports)
        )
        self.guard = Guard(rules)
        self.endpoints = Endpoints(database, clock, settings.max_webhooks_per_owner)
        self.deliveries = Deliveries(database)
        self.sender = Sender(self.guard, clock, settings.webhook_timeout_seconds)
        backoff = Backoff(settings.webhook_give_up_hours * HOUR_MS, settings.webhook_disable_hours * HOUR_MS)
        poll_seconds = settings.internal.webhook_poll_seconds
        self.worker = DeliveryWorker(self.endpoints, self.deliveries, self.sender, backoff, clock, poll_seconds)
        self._clock = clock
        self._kept_ms = settings.webhook_log_days * DAY_MS

    async def check(self, url: str) -> str:
        """Check a URL and return it in normalised form; raises Problem WEBHOOK_URL_FORBIDDEN."""
        return await self.guard.check(url)

    async def check_optional(self, url: str | None) -> str | None:
        """Check a URL as `check` does; return None for None."""
        return None if url is None else await self.check(url)

    async def prune(self) -> None:
        """Delete messages and deliveries that are older than the retention period; raises Problem."""
        await self.deliveries.prune(self._clock.now_ms() - self._kept_ms)
