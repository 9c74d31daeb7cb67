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
        self._left = MOST
        self._renews = False
        """Whether the next turn is going to let others begin."""

    def begin(self, start: Callable[[], object], *, at_once: bool = False) -> None:
        """Call `start` now or in one of the next turns; `at_once` for what is too short to wait for others."""
        if at_once:
            start()
            return
        if not self._renews:
            self._renews = True
            asyncio.get_running_loop().call_soon(self._renew)
        if self._left:
            # Then nobody waits.
            self._left -= 1
            start()
        else:
            self._waiting.append(start)

    def _renew(self) -> None:
        self._left = MOST
        self._renews = bool(self._waiting)
        if self._renews:
            asyncio.get_running_loop().call_soon(self._renew)
        while self._left and self._waiting:
            self._left -= 1
            self._waiting.popleft()()
