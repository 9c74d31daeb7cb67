"""Whether the gateway before this one lives: by its signs of life in its epoch, and by what it said at its end."""

from __future__ import annotations

import time
from collections.abc import Callable

from provisioning.gateway.core.database.log.epochs import Epoch, Epochs

LOOKED_BACK = 200
"""Epochs that are looked through for one of this pod's own."""


class Predecessor:
    """The newest epoch, seen from a pod that would begin the next one."""

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
        """Say whether it was begun on this pod; raises OSError."""
        liveness = self.epoch.liveness()
        return liveness is not None and liveness.pod_id == self._pod_id

    def is_over(self) -> bool:
        """Say whether its gateway has ended, or was silent for so long that it is taken as dead; raises OSError."""
        return self.is_ours() or self.epoch.is_closed or self.is_silent()

    def is_silent(self) -> bool:
        """Say whether there was no sign of life for the bound; call it again and again. Raises OSError.

        A time that is long past by both clocks counts at once; otherwise it is watched by this pod's own clock.
        """
        liveness = self.epoch.liveness()
        raw = liveness.raw if liveness is not None else None
        if raw != self._seen:
            self._seen, self._seen_at = raw, self._clock()
        # Two pods' clocks may differ by some seconds, so the bound counts twice here.
        if liveness is not None and self._wall() - liveness.at > 2 * self._silence_seconds:
            return True
        return self._clock() - self._seen_at > self._silence_seconds


def has_served_before(epochs: Epochs, newest: Epoch, pod_id: str) -> bool:
    """Say whether another pod took over from this one: then this one does not ask for it back. Raises OSError."""
    signs = (epoch.liveness() for epoch in epochs.newest_first()[:LOOKED_BACK] if epoch.number < newest.number)
    return any(liveness is not None and liveness.pod_id == pod_id for liveness in signs)
