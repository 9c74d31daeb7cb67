"""Threads that work for an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from provisioning.gateway.storage.threads import Threads

SECONDS = 30


def held(begun: threading.Event, gate: threading.Event) -> bool:
    begun.set()
    return gate.wait(SECONDS)


@pytest.fixture
def threads() -> Iterator[Threads]:
    threads = Threads(1, "test")
    yield threads
    threads.end()


async def test_work_is_done_elsewhere_and_in_turn(threads: Threads) -> None:
    done: list[int] = []
    await asyncio.gather(*(threads.do(lambda number=number: done.append(number)) for number in range(9)))  # type: ignore[misc]
    assert done == list(range(9))
    assert await threads.do(lambda: threading.current_thread().name) == "test_0"
    assert threads.do_now(lambda: threading.current_thread().name) == "test_0"


async def test_an_error_is_whose_work_it_was_and_ends_no_thread(threads: Threads) -> None:
    with pytest.raises(ZeroDivisionError):
        await threads.do(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        threads.do_now(lambda: 1 // 0)
    assert await threads.do(lambda: 1) == 1


async def test_what_nobody_waits_for_is_not_begun(threads: Threads) -> None:
    gate, begun = threading.Event(), threading.Event()
    first = asyncio.create_task(threads.do(lambda: gate.wait(SECONDS)))
    second = asyncio.create_task(threads.do(begun.set))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    gate.set()
    assert await first
    await threads.do(lambda: None)
    assert not begun.is_set()


async def test_who_stops_waiting_stops_nobody_else(threads: Threads) -> None:
    gate, begun = threading.Event(), threading.Event()
    task = asyncio.create_task(threads.do(partial(held, begun, gate)))
    assert await asyncio.to_thread(begun.wait, SECONDS)
    task.cancel()
    gate.set()
    assert await threads.do(lambda: 1) == 1


def test_a_loop_that_is_gone_ends_no_thread(threads: Threads) -> None:
    gate, begun = threading.Event(), threading.Event()
    loop = asyncio.new_event_loop()
    task = loop.create_task(threads.do(partial(held, begun, gate)))
    loop.run_until_complete(asyncio.sleep(0))
    assert begun.wait(SECONDS)
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()
    gate.set()
    assert threads.do_now(lambda: 1) == 1


async def test_the_end_waits_for_what_was_handed_in_and_takes_no_more() -> None:
    threads, gate, begun = Threads(1, "test"), threading.Event(), threading.Event()
    tasks = [asyncio.create_task(threads.do(partial(held, begun, gate))) for _ in range(3)]
    await asyncio.sleep(0)
    threading.Timer(0.05, gate.set).start()
    threads.end()
    assert await asyncio.gather(*tasks) == [True] * 3
    threads.end()
    with pytest.raises(RuntimeError, match="ended"):
        await threads.do(lambda: 1)
