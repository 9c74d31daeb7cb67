"""Events that are not about one job: the status of the pod, its cost, and the progress of the installer."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from provisioning.gateway.events.channels import Channels, Event

POD, COST, SETUP = "pod_status", "cost_update", "setup_progress"
TYPES = (POD, COST, SETUP)


class Broadcast:
    """Publishes these events, and keeps the newest of each for streams that open later."""

    def __init__(self, channels: Channels) -> None:
        self.pod: dict[str, Any] = {}
        self._setup: dict[str, Any] = {}
        self._channels = channels
        self._owners_of_ended: set[str] = set()
        self._ended = asyncio.Event()

    def setup(self, *, in_detail: bool) -> dict[str, Any]:
        """Return the newest progress of the installer, empty when there is none; `in_detail` is for admins."""
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
        """Keep progress from before this process started: it is state, and no event is published."""
        self._setup = document

    def _publish_to_all(self, name: str, document: dict[str, Any], in_detail: dict[str, Any]) -> None:
        self._channels.publish_to_owners(Event(name, orjson.dumps(document)))
        self._channels.publish_to(None, Event(name, orjson.dumps(in_detail)))

    def publish_cost(self, owner: str | None, document: dict[str, Any]) -> None:
        """Publish an owner's cost to that owner, or with None the total cost to the admins."""
        self._channels.publish_to(owner, Event(COST, orjson.dumps(document)))

    def job_ended(self, owner: str) -> None:
        """Record that a job of an owner has ended."""
        self._owners_of_ended.add(owner)
        self._ended.set()

    async def wait_for_ends(self, timeout_seconds: float) -> set[str] | None:
        """Return the owners of jobs that ended since the last call; None when none ended within `timeout_seconds`."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._ended.wait()
        except TimeoutError:
            return None
        self._ended.clear()
        owners, self._owners_of_ended = self._owners_of_ended, set()
        return owners
