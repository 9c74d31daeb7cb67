"""Webhooks as the rest of the gateway uses them: one object with all their parts."""

from __future__ import annotations

from provisioning.gateway.clock import Clock
from provisioning.gateway.settings import GatewaySettings
from provisioning.gateway.storage.database import Database
from provisioning.gateway.webhooks.backoff import Backoff
from provisioning.gateway.webhooks.deliveries import Deliveries
from provisioning.gateway.webhooks.endpoints import Endpoints
from provisioning.gateway.webhooks.guard import Guard, Rules
from provisioning.gateway.webhooks.sender import Sender
from provisioning.gateway.webhooks.worker import Worker

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class Webhooks:
    """Endpoints, deliveries, and the worker between them."""

    def __init__(self, database: Database, clock: Clock, settings: GatewaySettings) -> None:
        rules = Rules(
            settings.webhook_allow_http, settings.webhook_allow_private, ports=frozenset(settings.webhook_ports)
        )
        self.guard = Guard(rules)
        self.endpoints = Endpoints(database, clock, settings.max_webhooks_per_owner)
        self.deliveries = Deliveries(database)
        self.sender = Sender(self.guard, clock, settings.webhook_timeout_seconds)
        backoff = Backoff(settings.webhook_give_up_hours * HOUR_MS, settings.webhook_disable_hours * HOUR_MS)
        self.worker = Worker(self.endpoints, self.deliveries, self.sender, backoff, clock)
        self._clock = clock
        self._kept_ms = settings.webhook_log_days * DAY_MS

    async def allowed(self, url: str | None) -> str | None:
        """Return a URL that a webhook may go to, None for none; raises Problem WEBHOOK_URL_FORBIDDEN."""
        return None if url is None else await self.guard.check(url)

    async def prune(self) -> None:
        """Forget what was kept for long enough; raises Problem."""
        await self.deliveries.prune(self._clock.now_ms() - self._kept_ms)
