"""Bounds on how long answers may take to begin, kept together: a timer for each costs more than all else about it."""

from __future__ import annotations

import asyncio
from typing import Self

LOOKS = 20
"""How often it is looked within the bound, so that it is kept to a twentieth."""


class Deadlines:
    """What has to end within so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._open: dict[Bound, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def bound(self) -> Bound:
        """Return a context that raises TimeoutError once what is done in it takes too long."""
        return Bound(self)

    def begin(self, bound: Bound) -> None:
        """Watch a bound."""
        loop = asyncio.get_running_loop()
        self._open[bound] = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_later(self._seconds / LOOKS, self._look)

    def end(self, bound: Bound) -> None:
        """Watch it no more; a second time does nothing."""
        self._open.pop(bound, None)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for bound in [bound for bound, end in self._open.items() if end <= now]:
            bound.pass_by()
        self._timer = loop.call_later(self._seconds / LOOKS, self._look) if self._open else None


class Bound:
    """One deadline, for the task that enters it; as asyncio.timeout, but for the timer."""

    __slots__ = ("_cancelled", "_deadlines", "_is_past", "_task")

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._is_past = False
        self._task: asyncio.Task[object] | None = None
        self._cancelled = 0
        """How often somebody else had cancelled the task before."""

    def lift(self) -> None:
        """Let it take as long as it likes from now on."""
        self._deadlines.end(self)

    def pass_by(self) -> None:
        """Cancel what takes too long."""
        self.lift()
        if self._task is not None:
            self._is_past = True
            self._task.cancel()

    def __enter__(self) -> Self:
        if (task := asyncio.current_task()) is not None:
            self._task, self._cancelled = task, task.cancelling()
        self._deadlines.begin(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        self._deadlines.end(self)
        if not self._is_past or self._task is None:
            return
        # A task that somebody else has cancelled as well ends as that one wants.
        if self._task.uncancel() <= self._cancelled and kind is asyncio.CancelledError:
            raise TimeoutError from error
