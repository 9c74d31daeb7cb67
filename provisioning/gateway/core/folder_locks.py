"""Locks on folders: writing and deleting files never happen in one folder at the same time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple


class Folder(NamedTuple):
    """A folder of ComfyUI."""

    type: str
    subfolder: str


class FolderLocks:
    """Reader-writer locks: writers share a folder; a deletion locks its folders exclusively, and new writers wait."""

    def __init__(self) -> None:
        self._writers: Counter[Folder] = Counter()
        self._deletions: set[Folder] = set()
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def writing(self, folders: AbstractSet[Folder]) -> AsyncIterator[None]:
        """Lock folders against deletion, from before a file is written until its row is committed."""
        await self._until(lambda: self._deletions.isdisjoint(folders))
        self._writers.update(folders)
        try:
            yield
        finally:
            self._writers.subtract(folders)
            self._writers = +self._writers
            self._wake()

    @asynccontextmanager
    async def deleting(self, folders: AbstractSet[Folder]) -> AsyncIterator[None]:
        """Lock folders exclusively, once the current writers have finished."""
        await self._until(lambda: self._deletions.isdisjoint(folders))
        with self._closed(folders):
            await self._until(lambda: not any(self._writers[folder] for folder in folders))
            yield

    @contextmanager
    def _closed(self, folders: AbstractSet[Folder]) -> Iterator[None]:
        self._deletions |= folders
        try:
            yield
        finally:
            self._deletions -= folders
            self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            await self._changed.wait()
