"""The check whether the gateway is ready for jobs."""

from __future__ import annotations

from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.events.comfyui_listener import ComfyUIListener
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.jobs.lifecycle import Lifecycle
from provisioning.gateway.jobs.scheduler import Scheduler

PROBE_SECONDS = 1.0
"""How long a probe of the database is cached, since each is a commit and requests need no key."""


class GatewayReadiness:
    """Checks the parts that a job needs: the lifecycle, the database, ComfyUI and its GPU."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        ledger: Ledger,
        scheduler: Scheduler,
        listener: ComfyUIListener,
        clock: Clock,
    ) -> None:
        self._lifecycle = lifecycle
        self._ledger = ledger
        self._scheduler = scheduler
        self._listener = listener
        self._clock = clock
        self._probed_at = float("-inf")
        self._writable = False

    async def check(self) -> None:
        """Raise Problem with the reason unless the gateway is ready for jobs."""
        self._lifecycle.check_accepting()
        self._ledger.database.check()
        if (reason := self._scheduler.breaker.reason) is not None:
            raise Problem(reason)
        if not self._listener.connected:
            raise Problem(Code.UPSTREAM_UNAVAILABLE)
        if not await self._is_writable():
            raise Problem(Code.STORE_UNAVAILABLE)

    async def _is_writable(self) -> bool:
        now = self._clock.monotonic()
        if now - self._probed_at >= PROBE_SECONDS:
            self._probed_at = now
            self._writable = await self._ledger.writable()
        return self._writable
