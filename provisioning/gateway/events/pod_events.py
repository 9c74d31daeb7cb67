"""The status of the pod: whether it is ready for jobs, and if not, the reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from provisioning.gateway.core.problems import Code
from provisioning.gateway.events.broadcast import Broadcast
from provisioning.gateway.jobs.circuit_breaker import CircuitBreaker
from provisioning.gateway.jobs.lifecycle import Lifecycle

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class PodStatusReport:
    """Reports the status of the pod, from memory."""

    breaker: CircuitBreaker
    lifecycle: Lifecycle
    is_connected: Callable[[], bool]
    """Whether ComfyUI is connected."""

    def document(self) -> dict[str, Any]:
        """Return whether the pod is ready for jobs, the reason if not, and the state of its parts."""
        reason, broken, connected = self._reason(), self.breaker.reason, self.is_connected()
        up = "stuck" if broken is Code.UPSTREAM_STUCK else "up"
        return {
            "ready": reason is None,
            "reason": reason,
            "comfyui": up if connected else "down",
            "gpu": "fault" if broken is Code.GPU_FAULT else "ok",
            "draining": self.lifecycle.draining,
        }

    def _reason(self) -> Code | None:
        if self.lifecycle.draining:
            return Code.DRAINING
        if (broken := self.breaker.reason) is not None:
            return broken
        return None if self.is_connected() else Code.UPSTREAM_UNAVAILABLE


async def watch(pod: PodStatusReport, broadcast: Broadcast) -> None:
    """Publish every change of the pod's status, until cancelled."""
    while True:
        broadcast.publish_pod(pod.document())
        await asyncio.sleep(POLL_SECONDS)
