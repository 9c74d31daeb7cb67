"""Staging: copying files of the store into ComfyUI's folders, which are lost when the pod stops."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace

from provisioning.gateway.assets.staging import workflow_files
from provisioning.gateway.assets.store.paths import StoredCopy, StorePath, store_path_of
from provisioning.gateway.assets.store.store import FileStore
from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.upstream.client import ComfyUIClient, Request, upload_form
from provisioning.gateway.upstream.owner_namespace import is_safe_name
from provisioning.gateway.upstream.stored_file import StoredFile

MAX_NOTED = 100_000
"""Most files whose staging time is remembered; only files of running jobs matter."""

MAX_LISTED = 500
"""Most uploads whose names are created in new folders of ComfyUI."""


class InputStaging:
    """Stages files for ComfyUI; every method may raise Problem UPSTREAM_* and STORE_UNAVAILABLE."""

    def __init__(self, store: FileStore | None, upstream: ComfyUIClient, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._upstream = upstream
        self._placed: dict[StoredFile, StorePath] = {}
        """Files that ComfyUI certainly has in its present folders, with their paths in the store, oldest first."""
        self.named: dict[str, frozenset[StoredFile]] = {}
        """The input files of dispatched jobs, by job id."""
        self._counted: set[str] = set()
        """Output folders in which ComfyUI continues from the store's highest numbers."""
        self._emptied: dict[StoredFile, StorePath] = {}
        self._put: dict[StoredFile, int] = {}
        self._listed = False
        self._lock = asyncio.Lock()

    def reset(self) -> None:
        """Reset the state: ComfyUI may have been restarted with empty folders."""
        self._placed.clear()
        self._counted.clear()
        self._listed = False

    def mark_present(self, kept: StoredCopy) -> None:
        """Record that ComfyUI has the store's version of a file."""
        self._placed[kept.file] = kept.place

    def put_at(self, file: StoredFile) -> int:
        """Return when the gateway last copied this file to ComfyUI, in milliseconds since the epoch; 0 for never."""
        return self._put.get(file, 0)

    async def restore(self, file: StoredFile) -> None:
        """Restore a file whose copy was emptied, unless it has been rewritten."""
        place = self._emptied.get(file)
        if place is not None:
            if not await self._length(file):
                await self.stage([StoredCopy(file, place)])
            self._emptied.pop(file, None)

    def staged(self) -> list[StoredCopy]:
        """Return the staged files, oldest first."""
        return [StoredCopy(file, place) for file, place in self._placed.items()]

    def mark_missing(self, file: StoredFile) -> None:
        """Record that ComfyUI's file is missing or differs from the store's."""
        self._placed.pop(file, None)

    async def stage(self, files: Iterable[StoredCopy]) -> int:
        """Copy stored files that are not staged yet; returns how many were copied."""
        if self._store is None:
            return 0
        # One at a time: others that need the same file wait until it is complete.
        async with self._lock:
            missing = [kept for kept in files if kept.file not in self._placed]
            return sum([await self._give(self._store, kept) for kept in missing])

    async def stage_last_numbered(self, graph: workflow_files.Graph) -> None:
        """Stage the files with the highest numbers in a workflow's output folders, so that ComfyUI continues from them.

        In empty folders it would restart at 1, and a new image would replace an old one.
        """
        for subfolder in workflow_files.saved_to(graph) - self._counted if self._store else ():
            names = await self._store.names("output", subfolder, deep=False)  # type: ignore[union-attr]
            files = [StoredFile("output", subfolder, name) for name in workflow_files.highest(names)]
            await self.stage(StoredCopy(file, store_path_of(file)) for file in files)
            self._counted.add(subfolder)

    async def stage_series(self, file: StoredFile) -> None:
        """Stage the files that ComfyUI checks on an upload of this name: `a.png`, `a (1).png`..."""
        stem, dot, ending = file.filename.rpartition(".")
        for number in itertools.count() if self._store else ():
            name = f"{stem} ({number}){dot}{ending}" if number else file.filename
            numbered = replace(file, filename=name)
            if numbered not in self._placed and not await self.stage([StoredCopy(numbered, store_path_of(numbered))]):
                return

    async def _give(self, store: FileStore, kept: StoredCopy) -> bool:
        async with store.opened(kept.place) as content:
            if content is None:
                return False
            await self._upload(kept.file, store.chunks(content))
        self.mark_present(kept)
        return True

    async def list_uploads(self) -> bool:
        """Create an empty file in ComfyUI's input folder for each missing upload at its top level.

        The editor lists these names. Returns False when that has been done for the present folders.
        """
        if self._store is None or self._listed:
            return False
        async with self._lock:
            names = await self._store.names("input", deep=False)
            for name in filter(is_safe_name, names[:MAX_LISTED]):
                await self._name(StoredFile("input", "", name))
            self._listed = True
        return True

    async def _name(self, file: StoredFile) -> None:
        if await self._length(file) is None and file not in self._placed:
            await self._upload(file, _nothing())

    async def _length(self, file: StoredFile) -> int | None:
        """Return the length of ComfyUI's copy; None when there is none."""
        params = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        async with self._upstream.stream(Request("HEAD", "/view", params)) as reply:
            length = reply.headers.get("content-length", "")
            return int(length) if reply.status == 200 and length.isdigit() else None

    async def empty(self, kept: StoredCopy) -> bool:
        """Replace ComfyUI's copy by an empty file; returns False when the store does not have the file."""
        if self._store is None or not await self._store.exists(kept.place):
            return False
        async with self._lock:
            self.mark_missing(kept.file)
            self._emptied[kept.file] = kept.place
            await self._upload(kept.file, _nothing())
        return True

    async def _upload(self, file: StoredFile, content: AsyncIterator[bytes]) -> None:
        fields = {"type": file.type, "subfolder": file.subfolder, "overwrite": "true"}
        request = Request("POST", "/upload/image", body=upload_form(fields, file.filename, content))
        self._note_put(file)
        status, answer = await self._upstream.call(request)
        self._note_put(file)
        if status != 200 or not isinstance(answer, dict) or answer.get("name") != file.filename:
            raise Problem(Code.UPSTREAM_ERROR)

    def _note_put(self, file: StoredFile) -> None:
        self._put.pop(file, None)
        self._put[file] = self._clock.now_ms()
        if len(self._put) > MAX_NOTED:
            del self._put[next(iter(self._put))]


async def _nothing() -> AsyncIterator[bytes]:
    yield b""
