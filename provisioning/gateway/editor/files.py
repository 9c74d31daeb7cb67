"""What ComfyUI's editor keeps for its user: settings and saved workflows, in the store and so back after a stop."""

from __future__ import annotations

import asyncio
import logging
from pathlib import PurePosixPath
from urllib.parse import quote

from provisioning.gateway.assets.store.paths import StorePath
from provisioning.gateway.assets.store.store import FileStore
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.upstream.client import ComfyUIClient, Request

_log = logging.getLogger(__name__)

SETTINGS = "comfy.settings.json"
"""The file that the editor's settings are in."""
USER = "default"
"""The one user that ComfyUI knows; its folder below ComfyUI's `user`."""


class Workspace:
    """Keeps the user's folder; every method may raise Problem UPSTREAM_*, STORE_UNAVAILABLE and STORAGE_FULL."""

    def __init__(self, store: FileStore | None, upstream: ComfyUIClient) -> None:
        self._store = store
        self._upstream = upstream
        self._placed = store is None
        self._lock = asyncio.Lock()

    def forget(self) -> None:
        """Take note that ComfyUI may have been started anew, with an empty folder."""
        self._placed = self._store is None

    async def place(self) -> None:
        """Put everything back into ComfyUI, once for each of its starts, before anybody looks at it or changes it."""
        if self._store is None or self._placed:
            return
        async with self._lock:
            if not self._placed:
                for path in await self._store.names("user", USER):
                    await self._write(self._store, PurePosixPath(path).relative_to(USER).as_posix())
                self._placed = True

    async def keep(self, path: str) -> None:
        """Keep a file as ComfyUI has it now."""
        if self._store is None:
            return
        # One at a time, so that the older of two states never comes last.
        async with self._lock, self._upstream.stream(Request("GET", _address(path))) as reply:
            if reply.status != 200:
                raise Problem(Code.UPSTREAM_ERROR)
            await self._store.put(_store_path(path), reply.chunks)

    async def drop(self, path: str) -> None:
        """Forget a file."""
        if self._store is not None:
            await self._store.delete([_store_path(path)])

    async def move(self, path: str, target: str) -> None:
        """Keep a file, or the files of a folder, under another name."""
        if self._store is None:
            return
        inside = await self._store.names("user", f"{USER}/{path}")
        below = [PurePosixPath(name).relative_to(f"{USER}/{path}").as_posix() for name in inside]
        for source, end in [(f"{path}/{name}", f"{target}/{name}") for name in below] or [(path, target)]:
            await self.keep(end)
            await self.drop(source)

    async def _write(self, store: FileStore, path: str) -> None:
        async with store.opened(_store_path(path)) as content:
            if content is None:
                return
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(content.size)}
            body = store.chunks(content)
            request = Request("POST", _address(path), {"overwrite": "true"}, headers, body)
            status, _ = await self._upstream.call(request)
        if status != 200:
            # One that ComfyUI does not take must not keep the others away.
            _log.warning("a saved file could not be put back: %s", path)


def _store_path(path: str) -> StorePath:
    return StorePath("user", f"{USER}/{path}")


def _address(path: str) -> str:
    return f"/userdata/{quote(path, safe='')}"
