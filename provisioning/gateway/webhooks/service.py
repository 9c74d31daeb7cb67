"""Webhooks as the rest of the gateway uses them: one object with all their parts."""

from __future__ import annotations

from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.database.database import Database
from provisioning.gateway.core.settings import GatewaySettings
from provisioning.gateway.core.time_units import DAY_MS, HOUR_MS
from provisioning.gateway.webhooks.backoff import Backoff
from provisioning.gateway.webhooks.deliveries import Deliveries
from provisioning.gateway.webhooks.endpoints import Endpoints
from provisioning.gateway.webhooks.sender import Sender
from provisioning.gateway.webhooks.ssrf import Guard, Rules
from provisioning.gateway.webhooks.worker import Worker


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
        poll_seconds = settings.internal.webhook_poll_seconds
        self.worker = Worker(self.endpoints, self.deliveries, self.sender, backoff, clock, poll_seconds)
        self._clock = clock
        self._kept_ms = settings.webhook_log_days * DAY_MS

    async def check(self, url: str) -> str:
        """Return a URL that messages may be sent to, in its plain form; raises Problem WEBHOOK_URL_FORBIDDEN."""
        return await self.guard.check(url)

    async def check_optional(self, url: str | None) -> str | None:
        """Return a URL as `check` does; None for none."""
        return None if url is None else await self.check(url)

    async def prune(self) -> None:
        """Forget what was kept for long enough; raises Problem."""
        await self.deliveries.prune(self._clock.now_ms() - self._kept_ms)
