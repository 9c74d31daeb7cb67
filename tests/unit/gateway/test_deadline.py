"""Deadlines that share a timer bound each task as a timer of its own would."""

from __future__ import annotations

import asyncio

import pytest

from provisioning.gateway.web.deadline import LOOKS, Deadlines

SECONDS = 0.2


async def test_what_takes_too_long_is_ended_in_time() -> None:
    deadlines, loop = Deadlines(SECONDS), asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(TimeoutError), deadlines.bound():
        await asyncio.sleep(60)
    assert loop.time() - began >= SECONDS * (1 - 1 / LOOKS)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_each_has_its_own_time() -> None:
    deadlines = Deadlines(SECONDS)

    async def work(before: float, took: float) -> str:
        await asyncio.sleep(before)
        try:
            with deadlines.bound():
                await asyncio.sleep(took)
        except TimeoutError:
            return "late"
        return "done"

    started = [work(0, 0), work(0, 60), work(SECONDS / 2, 0), work(SECONDS / 2, 60)]
    assert await asyncio.gather(*started) == ["done", "late", "done", "late"]


async def test_a_lifted_one_may_take_as_long_as_it_likes() -> None:
    deadlines = Deadlines(SECONDS / 10)
    with deadlines.bound() as bound:
        bound.lift()
        await asyncio.sleep(SECONDS)


async def test_a_task_that_somebody_else_cancels_is_cancelled() -> None:
    deadlines = Deadlines(60)

    async def work() -> None:
        with deadlines.bound():
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_both_at_once_is_somebody_elses_wish() -> None:
    deadlines = Deadlines(SECONDS / 10)

    async def work() -> None:
        with deadlines.bound():
            try:
                await asyncio.sleep(60)
            finally:
                task.cancel()
                await asyncio.sleep(60)

    task = asyncio.create_task(work())
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(ValueError, match="mine"), Deadlines(60).bound():
        raise ValueError("mine")
