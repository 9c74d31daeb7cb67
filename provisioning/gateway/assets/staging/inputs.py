"""Putting files of the store back into ComfyUI's own folders, which are lost when the pod stops."""

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
"""Of so many files it is remembered when they were given to ComfyUI: only those of jobs that still run matter."""

MAX_LISTED = 500
"""Of so many uploads the names are given to a ComfyUI whose folders are new."""


class InputStaging:
    """Gives ComfyUI what it lacks; every method may raise Problem UPSTREAM_* and STORE_UNAVAILABLE."""

    def __init__(self, store: FileStore | None, upstream: ComfyUIClient, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._upstream = upstream
        self._placed: dict[StoredFile, StorePath] = {}
        """What ComfyUI has for sure since its folders were new, and where the store has it; the oldest first."""
        self.named: dict[str, frozenset[StoredFile]] = {}
        """What jobs read that were handed over, by their ids."""
        self._counted: set[str] = set()
        """Folders of the output folder in which ComfyUI counts on from the store's highest numbers."""
        self._emptied: dict[StoredFile, StorePath] = {}
        self._put: dict[StoredFile, int] = {}
        self._listed = False
        self._lock = asyncio.Lock()

    def reset(self) -> None:
        """Take note that ComfyUI may have been started anew, with empty folders."""
        self._placed.clear()
        self._counted.clear()
        self._listed = False

    def mark_present(self, kept: StoredCopy) -> None:
        """Take note that ComfyUI has a file, as the store has it."""
        self._placed[kept.file] = kept.place

    def put_at(self, file: StoredFile) -> int:
        """Return when the gateway last gave ComfyUI this file, in milliseconds since the epoch; 0 when it never did."""
        return self._put.get(file, 0)

    async def restore(self, file: StoredFile) -> None:
        """Put a file back whose copy was emptied, unless somebody has written it anew."""
        place = self._emptied.get(file)
        if place is not None:
            if not await self._length(file):
                await self.stage([StoredCopy(file, place)])
            self._emptied.pop(file, None)

    def staged(self) -> list[StoredCopy]:
        """Return the files that ComfyUI has, those that it has had longest first."""
        return [StoredCopy(file, place) for file, place in self._placed.items()]

    def mark_missing(self, file: StoredFile) -> None:
        """Take note that ComfyUI's file is gone, or another than the store's."""
        self._placed.pop(file, None)

    async def stage(self, files: Iterable[StoredCopy]) -> int:
        """Put files back that ComfyUI was not given yet and the store has; returns how many those were."""
        if self._store is None:
            return 0
        # One at a time: whoever needs the same file then waits until it is whole.
        async with self._lock:
            missing = [kept for kept in files if kept.file not in self._placed]
            return sum([await self._give(self._store, kept) for kept in missing])

    async def stage_last_numbered(self, graph: workflow_files.Graph) -> None:
        """Give ComfyUI the files with the highest numbers where a workflow saves, so that it counts on from them.

        In empty folders it would begin with 1 again, and a new picture would take the place of an old one.
        """
        for subfolder in workflow_files.saved_to(graph) - self._counted if self._store else ():
            names = await self._store.names("output", subfolder, deep=False)  # type: ignore[union-attr]
            files = [StoredFile("output", subfolder, name) for name in workflow_files.highest(names)]
            await self.stage(StoredCopy(file, store_path_of(file)) for file in files)
            self._counted.add(subfolder)

    async def stage_series(self, file: StoredFile) -> None:
        """Do so with the files that ComfyUI looks at when it is given a file of this name: `a.png`, `a (1).png`..."""
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
        """Give ComfyUI an empty file for each upload at the top of its input folder that it lacks.

        Its editor offers what lies there. Returns False when that was done since its folders were new.
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
        """Return how long ComfyUI's copy is; None when it has none."""
        params = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        async with self._upstream.stream(Request("HEAD", "/view", params)) as reply:
            length = reply.headers.get("content-length", "")
            return int(length) if reply.status == 200 and length.isdigit() else None

    async def empty(self, kept: StoredCopy) -> bool:
        """Have an empty file in place of ComfyUI's copy, which takes no room; False when the store has no such file."""
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
