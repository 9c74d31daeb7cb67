"""Whether the gateway accepts new work."""

from __future__ import annotations

from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.jobs.handover import Handover


class Lifecycle:
    """Refuses new work while the gateway shuts down, and once another gateway has taken over."""

    def __init__(self, handover: Handover) -> None:
        self._handover = handover
        self.draining = False
        """Whether the gateway shuts down."""

    def check_accepting(self) -> None:
        """Raise Problem DRAINING or TAKEN_OVER when new work is refused."""
        self._handover.check()
        if self.draining:
            raise Problem(Code.DRAINING)
