"""Threads that wait for the disk or for PostgreSQL, so that the event loop does not."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Callable
from operator import methodcaller
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

Result = TypeVar("Result")
Future = asyncio.Future[Any] | concurrent.futures.Future[Any]


class Threads:
    """Some threads, which take up work in the order in which it is handed in.

    ThreadPoolExecutor does the same, and for a short SELECT its way to the thread and back is what takes longest: it
    locks a future of its own at every step. With the event loop's future alone the way takes less than half as long.
    """

    def __init__(self, count: int, name: str) -> None:
        """Start that many."""
        self._open = True
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = [Thread(target=self._work, name=f"{name}_{number}", daemon=True) for number in range(count)]
        for thread in self._threads:
            thread.start()

    async def do(self, work: Callable[[], Result]) -> Result:
        """Return what `work` returns, or raise what it raises; raises RuntimeError after the end.

        It is not begun any more when nobody waits for it by then.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Result] = loop.create_future()

        def task() -> None:
            if not done.cancelled():
                outcome = _outcome(work)
                # A loop that was closed meanwhile has nobody who waits.
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(_settle, done, outcome)

        self._put(task)
        return await done

    def do_now(self, work: Callable[[], Result]) -> Result:
        """Do the same without an event loop."""
        return self.begin(work).result()

    def begin(self, work: Callable[[], Result]) -> concurrent.futures.Future[Result]:
        """Have work done and return at once what its result is to be had from."""
        done: concurrent.futures.Future[Result] = concurrent.futures.Future()
        self._put(lambda: _settle(done, _outcome(work)))
        return done

    def hand_in(self, work: Callable[[], object]) -> None:
        """Have something done that nobody waits for; raises RuntimeError after the end."""

        def task() -> None:
            _outcome(work)

        self._put(task)

    def end(self, seconds: float | None = None) -> None:
        """Finish what was handed in and end, waiting for each thread at most so long; a second time does nothing."""
        self._open = False
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join(seconds)

    def _put(self, task: Callable[[], None]) -> None:
        if not self._open:
            raise RuntimeError("the threads have ended")
        self._tasks.put(task)

    def _work(self) -> None:
        for task in iter(self._tasks.get, None):
            task()


def _outcome(work: Callable[[], object]) -> Callable[[Future], None]:
    """Do the work and return what tells a future how it went."""
    try:
        return methodcaller("set_result", work())
    except BaseException as error:  # noqa: BLE001 - whatever it was, it belongs to whoever waits
        return methodcaller("set_exception", error)


def _settle(done: Future, outcome: Callable[[Future], None]) -> None:
    if not done.cancelled():
        outcome(done)
