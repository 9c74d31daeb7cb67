"""Events that are not about one job: the status of the pod, its cost, and the progress of the installer."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from provisioning.gateway.events.channels import Channels, Event

POD, COST, SETUP = "pod_status", "cost_update", "setup_progress"
TYPES = (POD, COST, SETUP)


class Broadcast:
    """Publishes these events, and keeps the newest of each for streams that begin later."""

    def __init__(self, channels: Channels) -> None:
        self.pod: dict[str, Any] = {}
        self._setup: dict[str, Any] = {}
        self._channels = channels
        self._owners_of_ended: set[str] = set()
        self._ended = asyncio.Event()

    def setup(self, *, in_detail: bool) -> dict[str, Any]:
        """Return the newest line of the installer, empty when there is none; the details are an operator's."""
        return self._setup if in_detail else {name: item for name, item in self._setup.items() if name != "detail"}

    def publish_pod(self, document: dict[str, Any]) -> None:
        """Publish the status of the pod when it has changed."""
        if document != self.pod:
            self.pod = document
            self._publish_to_all(POD, document, document)

    def publish_setup(self, document: dict[str, Any]) -> None:
        """Publish the progress of the installer."""
        self._setup = document
        self._publish_to_all(SETUP, self.setup(in_detail=False), self.setup(in_detail=True))

    def remember_setup(self, document: dict[str, Any]) -> None:
        """Keep a line that is older than this process: part of the state, and no event."""
        self._setup = document

    def _publish_to_all(self, name: str, document: dict[str, Any], in_detail: dict[str, Any]) -> None:
        self._channels.publish_to_owners(Event(name, orjson.dumps(document)))
        self._channels.publish_to(None, Event(name, orjson.dumps(in_detail)))

    def publish_cost(self, owner: str | None, document: dict[str, Any]) -> None:
        """Publish the costs of an owner to that owner, or of everybody to the admins."""
        self._channels.publish_to(owner, Event(COST, orjson.dumps(document)))

    def job_ended(self, owner: str) -> None:
        """Record that a job of an owner has ended."""
        self._owners_of_ended.add(owner)
        self._ended.set()

    async def wait_for_ends(self, timeout_seconds: float) -> set[str] | None:
        """Return whose jobs have ended since the last call; None when none did for so long."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._ended.wait()
        except TimeoutError:
            return None
        self._ended.clear()
        owners, self._owners_of_ended = self._owners_of_ended, set()
        return owners
