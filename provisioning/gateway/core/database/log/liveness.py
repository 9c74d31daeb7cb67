"""Liveness of the previous gateway: from the heartbeats and the clean-shutdown mark in its epoch."""

from __future__ import annotations

import time
from collections.abc import Callable

from provisioning.gateway.core.database.log.epochs import Epoch, Epochs

LOOKED_BACK = 200
"""Number of epochs that are searched for one of this pod."""


class Predecessor:
    """The gateway of the newest epoch, as seen by a gateway that wants to begin the next one."""

    def __init__(
        self, epoch: Epoch, pod_id: str, silence_seconds: float, clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.epoch = epoch
        self._pod_id = pod_id
        self._silence_seconds = silence_seconds
        self._clock = clock
        self._wall = wall
        self._seen: bytes | None = None
        self._seen_at = clock()

    def is_ours(self) -> bool:
        """Return whether it ran on this pod; raises OSError."""
        liveness = self.epoch.liveness()
        return liveness is not None and liveness.pod_id == self._pod_id

    def is_over(self) -> bool:
        """Return whether it has ended, or is presumed dead after a long silence; raises OSError."""
        return self.is_ours() or self.epoch.is_closed or self.is_silent()

    def is_silent(self) -> bool:
        """Return whether there was no heartbeat for `silence_seconds`; to be called repeatedly. Raises OSError.

        A heartbeat that is old by both pods' clocks counts at once; otherwise the silence is timed by this pod's clock.
        """
        liveness = self.epoch.liveness()
        raw = liveness.raw if liveness is not None else None
        if raw != self._seen:
            self._seen, self._seen_at = raw, self._clock()
        # The clocks of two pods may differ by some seconds, hence twice the bound.
        if liveness is not None and self._wall() - liveness.at > 2 * self._silence_seconds:
            return True
        return self._clock() - self._seen_at > self._silence_seconds


def has_served_before(epochs: Epochs, newest: Epoch, pod_id: str) -> bool:
    """Return whether this pod served before: it was superseded then and must not request a handover. Raises OSError."""
    signs = (epoch.liveness() for epoch in epochs.newest_first()[:LOOKED_BACK] if epoch.number < newest.number)
    return any(liveness is not None and liveness.pod_id == pod_id for liveness in signs)
