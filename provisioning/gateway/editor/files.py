"""The editor's settings and saved workflows, kept in the store so that they survive a restart of the pod."""

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
"""The file with the editor's settings."""
USER = "default"
"""ComfyUI's only user, whose files are in this folder below `user`."""


class Workspace:
    """Copies ComfyUI's user folder to the store and back.

    Every method may raise Problem UPSTREAM_*, STORE_UNAVAILABLE and STORAGE_FULL.
    """

    def __init__(self, store: FileStore | None, upstream: ComfyUIClient) -> None:
        self._store = store
        self._upstream = upstream
        self._restored = store is None
        self._lock = asyncio.Lock()

    def require_restore(self) -> None:
        """Restore the folder before its next use, since ComfyUI may have restarted with an empty one."""
        self._restored = self._store is None

    async def restore(self) -> None:
        """Copy all stored files to ComfyUI, once after each of its starts, before they are read or changed."""
        if self._store is None or self._restored:
            return
        async with self._lock:
            if not self._restored:
                for path in await self._store.names("user", USER):
                    await self._write(self._store, PurePosixPath(path).relative_to(USER).as_posix())
                self._restored = True

    async def keep(self, path: str) -> None:
        """Copy a file from ComfyUI to the store."""
        if self._store is None:
            return
        # One at a time, so that an older version never overwrites a newer one.
        async with self._lock, self._upstream.stream(Request("GET", _address(path))) as reply:
            if reply.status != 200:
                raise Problem(Code.UPSTREAM_ERROR)
            await self._store.put(_store_path(path), reply.chunks)

    async def delete(self, path: str) -> None:
        """Delete a file from the store."""
        if self._store is not None:
            await self._store.delete([_store_path(path)])

    async def move(self, path: str, target: str) -> None:
        """Rename a file, or the files of a folder, in the store."""
        if self._store is None:
            return
        inside = await self._store.names("user", f"{USER}/{path}")
        below = [PurePosixPath(name).relative_to(f"{USER}/{path}").as_posix() for name in inside]
        for source, end in [(f"{path}/{name}", f"{target}/{name}") for name in below] or [(path, target)]:
            await self.keep(end)
            await self.delete(source)

    async def _write(self, store: FileStore, path: str) -> None:
        async with store.opened(_store_path(path)) as content:
            if content is None:
                return
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(content.size)}
            body = store.chunks(content)
            request = Request("POST", _address(path), {"overwrite": "true"}, headers, body)
            status, _ = await self._upstream.call(request)
        if status != 200:
            # A file that ComfyUI refuses must not prevent the restoration of the others.
            _log.warning("a saved file could not be restored: %s", path)


def _store_path(path: str) -> StorePath:
    return StorePath("user", f"{USER}/{path}")


def _address(path: str) -> str:
    return f"/userdata/{quote(path, safe='')}"
