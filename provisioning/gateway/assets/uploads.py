"""Uploaded files: checked, sent to ComfyUI and stored."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from provisioning.gateway.assets.staging.inputs import InputStaging
from provisioning.gateway.assets.store.paths import StoredCopy, store_path_of
from provisioning.gateway.assets.store.store import FileStore
from provisioning.gateway.core.disk_space import DiskSpace
from provisioning.gateway.core.http import media_types
from provisioning.gateway.core.http.multipart import Form, pieces
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.upstream.client import ComfyUIClient, Request, upload_form
from provisioning.gateway.upstream.stored_file import StoredFile

PAUSE_SECONDS = 0.1


class Uploads:
    """Handles uploads; every method may raise Problem UPSTREAM_*, STORE_UNAVAILABLE and STORAGE_FULL."""

    def __init__(
        self,
        store: FileStore | None,
        staging: InputStaging,
        upstream: ComfyUIClient,
        space: DiskSpace,
        max_pixels: int,
        retry_seconds: float,
    ) -> None:
        """Write to the store again for `retry_seconds` while the volume gives passing errors."""
        self._retry_seconds = retry_seconds
        self._store = store
        self._staging = staging
        self._upstream = upstream
        self._space = space
        self._max_pixels = max_pixels

    async def check(self, filename: str, form: Form) -> str:
        """Return the media type of an uploaded file; raises Problem for one that is not allowed or does not fit."""
        kind = await media_types.check(filename, form, self._max_pixels)
        self._space.check(form.file.seek(0, 2))
        return kind

    async def give(self, path: str, fields: Mapping[str, str], filename: str, form: Form) -> tuple[int, Any]:
        """Send the file to one of ComfyUI's upload routes; returns status and JSON of the response."""
        body = upload_form(fields, filename, pieces(form.file))
        return await self._upstream.call(Request("POST", path, body=body))

    async def keep(self, file: StoredFile, content: Callable[[], AsyncIterator[bytes]]) -> None:
        """Store a file that was sent to ComfyUI; `content` returns a new iterator on each call."""
        if self._store is None:
            return
        try:
            await self._put(self._store, file, content)
        except BaseException:
            # Until the next upload, the store's former file is the valid one, if there is one.
            self._staging.mark_missing(file)
            raise
        self._staging.mark_present(StoredCopy(file, store_path_of(file)))

    async def _put(self, store: FileStore, file: StoredFile, content: Callable[[], AsyncIterator[bytes]]) -> None:
        """Store the file, with retries while the volume reports errors; a stalled volume has its own time-out."""
        began = time.monotonic()
        while True:
            try:
                await store.put(store_path_of(file), content())
            except Problem as problem:
                if problem.code is not Code.STORE_UNAVAILABLE or time.monotonic() - began > self._retry_seconds:
                    raise
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return
