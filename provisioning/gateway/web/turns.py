"""How many requests begin in one turn of the event loop, so that whoever comes in between is heard soon.

Everything that has arrived is read in one turn. Were it all begun there, two hundred clients that ask at the same
moment would make one turn of it, and each step of every other connection would take as long as all of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

MOST = 16
"""Requests that begin in one turn; what each of them takes is some tenths of a millisecond."""


class Turns:
    """Lets requests begin, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], object]] = deque()
        self._turn = 0.0
        self._left = 0

    def begin(self, start: Callable[[], object], *, at_once: bool = False) -> None:
        """Call `start` now or in one of the next turns; `at_once` for what is too short to wait for others."""
        loop = asyncio.get_running_loop()
        # The loop's clock stands still within a turn.
        if (turn := loop.time()) != self._turn:
            self._turn, self._left = turn, MOST
        if at_once:
            start()
        elif self._left and not self._waiting:
            self._left -= 1
            start()
        else:
            self._waiting.append(start)
            if len(self._waiting) == 1:
                loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        for _ in range(min(MOST, len(self._waiting))):
            self._waiting.popleft()()
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._go_on)
