"""The store of uploads and outputs: a folder on the volume that only the gateway writes.

A file is acknowledged once it is on the volume, synced, read back and in its place. The volume may be full, give errors
or stall for a minute: each of that is a Problem, and the event loop never waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import stat
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from provisioning.gateway.assets.store.content import PIECE_BYTES, Content, retried
from provisioning.gateway.assets.store.encryption import MAGIC, FileCipher, FileSealError
from provisioning.gateway.assets.store.paths import StorePath
from provisioning.gateway.assets.store.writer import Writer
from provisioning.gateway.core.disk_space import problem_of
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.core.threads import run_in_thread

Result = TypeVar("Result")

DRAFTS = ".drafts"
BLOCK_BYTES = 1024 * 1024
"""Size of the blocks in which a file is written."""
THREADS = 8
STALL_SECONDS = 30.0
"""How long one operation on a file may take; then the client is asked to try again."""
COUNT_SECONDS = 3600.0
DRAFT_SECONDS = 3600.0
"""A draft older than this was left behind by a killed process."""

_MISSING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG})

_log = logging.getLogger(__name__)


class FileStore:
    """Stores files under ComfyUI's names."""

    def __init__(self, root: Path, cipher: FileCipher, stall_seconds: float = STALL_SECONDS) -> None:
        self._root = root
        self._stall_seconds = stall_seconds
        self._cipher = cipher
        self._threads = ThreadPoolExecutor(THREADS, "files")
        self._drafts = root / DRAFTS
        self.count = 0
        """Bytes in the store: measured at the start, updated on writes and deletions."""

    async def put(self, place: StorePath, source: AsyncIterator[bytes]) -> int:
        """Store a file, replacing an existing one; returns its length once it is on the volume.

        Raises Problem STORAGE_FULL, STORE_UNAVAILABLE, and whatever the source raises; then the former file stays.
        """
        _check(place)
        blocks = _blocks(source)
        first = await anext(blocks, b"")
        writer = await self._do(partial(self._begin, place, first))
        try:
            async for block in blocks:
                await self._do(partial(writer.write, block))
            self.count += await self._do(partial(writer.finish, self._path(place)))
        except BaseException:
            writer.cancelled = True
            self._threads.submit(writer.abort)
            raise
        return writer.size

    def _begin(self, place: StorePath, block: bytes) -> Writer:
        # Content with the magic of encrypted files is always encrypted, since it could not be read back otherwise.
        sealed = self._cipher.active or block.startswith(MAGIC)
        self._drafts.mkdir(parents=True, exist_ok=True)
        writer = Writer(self._drafts, place, self._cipher, sealed=sealed)
        try:
            writer.write(block)
        except OSError:
            writer.abort()
            raise
        return writer

    async def open(self, place: StorePath) -> Content | None:
        """Return a file's content, to be closed by the caller; None when there is no such file.

        Raises Problem STORE_UNAVAILABLE, and INTERNAL_ERROR for a file that is not as it was written.
        """
        return await self._do(lambda: self._open(place)) if place.is_safe else None

    def _open(self, place: StorePath) -> Content | None:
        try:
            return retried(partial(Content, self._path(place), place, self._cipher))
        except OSError as error:
            if error.errno in _MISSING:
                return None
            raise

    @contextlib.asynccontextmanager
    async def opened(self, place: StorePath) -> AsyncIterator[Content | None]:
        """Do the same, and close the content on exit."""
        content = await self.open(place)
        try:
            yield content
        finally:
            if content is not None:
                content.close()

    async def chunks(self, content: Content, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Yield a part of an open file, up to its end without a length; raises Problem as `open` does."""
        end = content.size if length is None else min(content.size, start + length)
        if start == 0 and end <= len(content.head):
            yield content.head[:end]
            return
        while start < end:
            wanted = min(PIECE_BYTES, end - start)
            piece = await self._do(partial(content.read, start, wanted))
            yield piece
            start += len(piece)

    async def exists(self, place: StorePath) -> bool:
        """Return whether a file exists; raises Problem STORE_UNAVAILABLE."""
        return place.is_safe and await self._do(lambda: self._exists(place))

    def _exists(self, place: StorePath) -> bool:
        try:
            return stat.S_ISREG(retried(self._path(place).lstat).st_mode)
        except OSError as error:
            if error.errno in _MISSING:
                return False
            raise

    async def delete(self, places: Iterable[StorePath]) -> None:
        """Delete files; missing ones are ignored. Raises Problem STORE_UNAVAILABLE."""
        safe = [place for place in places if place.is_safe]
        self.count -= await self._do(lambda: sum(map(self._remove, safe)))

    def _remove(self, place: StorePath) -> int:
        path = self._path(place)
        try:
            size = path.lstat().st_size
            path.unlink()
        except OSError as error:
            if error.errno in _MISSING:
                return 0
            raise
        self._tidy(path.parent)
        return size

    def _tidy(self, folder: Path) -> None:
        with contextlib.suppress(OSError):
            while folder.parent != self._root:
                folder.rmdir()
                folder = folder.parent

    async def names(self, folder: str, subfolder: str = "", *, deep: bool = True) -> list[str]:
        """Return the sorted paths of the files in a folder of the store, in the form of StorePath.path; raises Problem.

        `deep`: those in its subfolders, too.
        """
        return await self._do(lambda: sorted(self._below(Path(folder, subfolder), deep=deep)))

    def _below(self, start: Path, *, deep: bool) -> Iterator[str]:
        top = self._root / start.parts[0]
        for folder, _, names in os.walk(self._root / start, onerror=_raise):
            yield from (Path(folder, name).relative_to(top).as_posix() for name in names)
            if not deep:
                return

    async def run(self) -> None:
        """Recount periodically until cancelled: a kill may come between a write and its count."""
        while True:
            with contextlib.suppress(Problem):
                await self.recount()
            await asyncio.sleep(COUNT_SECONDS)

    async def recount(self) -> None:
        """Recount the stored bytes and remove abandoned drafts; raises Problem STORE_UNAVAILABLE."""
        before = self.count
        found = await self._do(self._measure, bounded=False)
        # Concurrent writes may be counted twice until the next recount, but none is missed.
        self.count += found - before

    def _measure(self) -> int:
        total, oldest = 0, time.time() - DRAFT_SECONDS
        for folder, _, names in os.walk(self._root):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    found = os.stat(os.path.join(folder, name), follow_symlinks=False)  # noqa: PTH116, PTH118 - many
                    total += found.st_size
                    if folder == str(self._drafts) and found.st_mtime < oldest:
                        os.unlink(os.path.join(folder, name))  # noqa: PTH108, PTH118 - likewise
                        total -= found.st_size
        return total

    def close(self) -> None:
        """Accept no more work; running work is finished before the process ends, without blocking the event loop."""
        self._threads.shutdown(wait=False)

    def _path(self, place: StorePath) -> Path:
        return self._root / place.folder / place.path

    async def _do(self, work: Callable[[], Result], *, bounded: bool = True) -> Result:
        try:
            async with asyncio.timeout(self._stall_seconds if bounded else None):
                return await run_in_thread(self._threads, work)
        except FileSealError as error:
            _log.error("a stored file cannot be read: %s", error)
            raise Problem(Code.INTERNAL_ERROR, "The stored file is damaged; the operator's log says which.") from error
        except TimeoutError as error:
            text = "The volume has not answered for a while; try again shortly."
            raise Problem(Code.STORE_UNAVAILABLE, text) from error
        except OSError as error:
            _log.warning("the file store reported an error: %s", error)
            raise problem_of(error) from error


def _raise(error: OSError) -> None:
    if error.errno not in _MISSING:
        raise error


def _check(place: StorePath) -> None:
    if not place.is_safe:
        raise Problem(Code.INVALID_REQUEST, "Give a plain file name and subfolder, of at most 255 bytes each.")


async def _blocks(source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    pieces: list[bytes] = []
    size = 0
    async for piece in source:
        pieces.append(piece)
        size += len(piece)
        if size >= BLOCK_BYTES:
            yield b"".join(pieces)
            pieces, size = [], 0
    if pieces:
        yield b"".join(pieces)
