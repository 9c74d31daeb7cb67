"""Work that waits for a disk, a database or a hash, done on a pool's threads so that the event loop does not wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


async def run_in_thread(pool: ThreadPoolExecutor, work: Callable[[], Result]) -> Result:
    """Return what `work` returns, or raise what it raises; RuntimeError when the pool was shut down.

    Work is not begun any more when its waiter was cancelled before a thread was free.
    """
    return await asyncio.get_running_loop().run_in_executor(pool, work)
