"""Blocking work on threads: disk, database and hashing, so that the event loop never waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


async def run_in_thread(pool: ThreadPoolExecutor, work: Callable[[], Result]) -> Result:
    """Run `work` on a thread and return its result or raise its error; RuntimeError when the pool was shut down.

    If the caller is cancelled before a thread is free, the work is not started.
    """
    return await asyncio.get_running_loop().run_in_executor(pool, work)
