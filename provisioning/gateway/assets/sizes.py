"""Sizes of assets, measured when they are not stored yet."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

from provisioning.gateway.assets.repository import Asset, AssetStore
from provisioning.gateway.assets.store.store import FileStore
from provisioning.gateway.core.problems import Problem
from provisioning.gateway.upstream.client import ComfyUIClient, Request

SOON_SECONDS = 2.0
"""How long the end of a job waits for the size of an output from ComfyUI."""


class AssetSizes:
    """Measures assets, each only once."""

    def __init__(self, assets: AssetStore, store: FileStore | None, upstream: ComfyUIClient) -> None:
        self._assets = assets
        self._store = store
        self._upstream = upstream

    async def measured_soon(self, asset: Asset) -> Asset:
        """Return an asset with its size; without it when measuring fails or takes longer than SOON_SECONDS."""
        with contextlib.suppress(Problem, TimeoutError):
            async with asyncio.timeout(SOON_SECONDS):
                return await self.measured(asset)
        return replace(asset, size_bytes=None)

    async def measured(self, asset: Asset) -> Asset:
        """Return an asset with its size; without it when the file is missing. Raises Problem."""
        if asset.size_bytes is not None:
            return asset
        if self._store is not None:
            async with self._store.opened(asset.stored_copy.place) as content:
                if content is not None:
                    return await self._assets.measured(asset, content.size)
        file = asset.file
        params = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        async with self._upstream.stream(Request("HEAD", "/view", params)) as reply:
            length = reply.headers.get("content-length", "")
        is_there = reply.status == 200 and length.isdigit()
        return await self._assets.measured(asset, int(length)) if is_there else asset
