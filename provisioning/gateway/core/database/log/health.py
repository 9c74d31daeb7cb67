"""Current faults of the log, and the errors callers receive for them."""

from __future__ import annotations

import logging
from time import monotonic

from provisioning.gateway.core.disk_space import FULL
from provisioning.gateway.core.problems import Code, Problem

RETRY_AFTER_SECONDS = 5.0

SLOW = "The volume does not answer; the change may still be made. Check before you try again."
FAILS = "The volume reports errors; changes are refused until it works again. Try again shortly."
NO_ROOM = (
    "The volume is full: delete files that are not needed, or ask the operator for a larger volume (volume.sizeGb)."
)

_log = logging.getLogger(__name__)


class NotOnVolume(Problem):
    """A change was committed to the container disk only; it reaches the volume once the volume works again."""


class LogHealth:
    """Tracks the state of shipping; used by several threads, one attribute at a time."""

    def __init__(self, patience_seconds: float) -> None:
        self.patience_seconds = patience_seconds
        self.superseded = False
        """Whether another gateway has taken over; final."""
        self.is_handed_over = False
        """Whether this gateway refuses changes because another one is taking over."""
        self._since: float | None = None
        self._error: OSError | None = None

    def begin(self, now: float) -> None:
        """Record the start of shipping, unless an earlier attempt is still running."""
        if self._since is None:
            self._since = now

    def end(self) -> None:
        """Record that everything is on the volume."""
        if self._error is not None:
            _log.info("the log on the volume is writable again")
        self._since, self._error = None, None

    def fail(self, error: OSError) -> None:
        """Record a failed attempt."""
        if self._error is None and not self.superseded:
            _log.error("the log on the volume cannot be written: %s", error.strerror or error)
        self._error = error
        self.begin(monotonic())

    def problem(self) -> Problem | None:
        """Return why changes cannot be acknowledged; None when they can, or may within the patience."""
        if self.is_handed_over:
            return Problem(Code.TAKEN_OVER)
        since = self._since
        if (permanent_problem := self.permanent_problem()) is not None:
            return permanent_problem
        if since is None or monotonic() - since < self.patience_seconds:
            return None
        return Problem(Code.STORE_UNAVAILABLE, SLOW if self._error is None else FAILS, retry_after=RETRY_AFTER_SECONDS)

    def permanent_problem(self) -> Problem | None:
        """Return the same for faults that waiting does not resolve."""
        if self.superseded:
            return Problem(Code.TAKEN_OVER)
        error = self._error
        if error is not None and error.errno in FULL:
            return Problem(Code.STORAGE_FULL, NO_ROOM)
        return None

    def late_problem(self) -> Problem:
        """Return the problem for a commit that was not shipped in time."""
        problem = self.permanent_problem() or Problem(Code.STORE_UNAVAILABLE, SLOW)
        return NotOnVolume(problem.code, problem.detail, retry_after=RETRY_AFTER_SECONDS)
