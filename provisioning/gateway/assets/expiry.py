"""Deletion of files: expired ones, and those that their owner deletes; rows and bytes together.

The gateway has no write access to ComfyUI's folders: the pod's helper deletes the bytes, on a request that is made
before the row is deleted. After a crash in between the request is repeated; a file that is missing counts as deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import delete, select

from provisioning.gateway.assets.repository import Asset
from provisioning.gateway.assets.store.paths import store_path_of
from provisioning.gateway.core.database import sql_helpers
from provisioning.gateway.core.database.database import Database
from provisioning.gateway.core.database.tables import AssetRow
from provisioning.gateway.core.folder_locks import Folder, FolderLocks
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.upstream.helper_requests import HelperRequests
from provisioning.gateway.upstream.stored_file import StoredFile

if TYPE_CHECKING:
    from provisioning.gateway.assets.store.store import FileStore


class Found(NamedTuple):
    """An asset to delete."""

    id: str
    job_id: str | None
    file: StoredFile


class Expiry:
    """Deletes files; every method may raise Problem(STORE_UNAVAILABLE)."""

    def __init__(self, database: Database, requests: HelperRequests, store: FileStore | None, batch: int) -> None:
        """`store` holds the files beside ComfyUI's folders; one request deletes at most `batch` files."""
        self.folders = FolderLocks()
        """Locks for writers into ComfyUI's folders, so that a new file is not deleted with an old one of its name."""
        self._database = database
        self._requests = requests
        self._store = store
        self._batch = batch

    async def run(self, before: int) -> int:
        """Delete every file that was made or uploaded before a time; returns the number of deleted assets.

        Stops when a request to the pod's helper fails: the rows stay, and the next run repeats the request.
        """
        ended = 0
        while (found := await self._older(before)) and await self._end(found):
            ended += len(found)
        return ended

    async def remove(self, asset: Asset) -> None:
        """Delete an asset, and its file unless another asset shares it; raises Problem when it has to be repeated."""
        if not await self._end([Found(asset.id, asset.job_id, asset.file)]):
            raise Problem(Code.STORE_UNAVAILABLE, "The file cannot be deleted now; try again shortly.")

    async def _older(self, before: int) -> list[Found]:
        old = select(AssetRow.id, AssetRow.job_id, AssetRow.type, AssetRow.subfolder, AssetRow.filename)
        some = old.where(AssetRow.created_at < before).order_by(AssetRow.sequence).limit(self._batch)
        rows = await self._database.read(lambda connection: list(connection.execute(some)))
        return [Found(row.id, row.job_id, StoredFile(row.type, row.subfolder, row.filename)) for row in rows]

    async def _end(self, found: Sequence[Found]) -> bool:
        async with self.folders.deleting({Folder(each.file.type, each.file.subfolder) for each in found}):
            return await self._end_alone(found)

    async def _end_alone(self, found: Sequence[Found]) -> bool:
        ids = {each.id for each in found}
        lonely = {file for file in {each.file for each in found} if not await self._is_shared(file, ids)}
        paths = [(file.type, "/".join(filter(None, (file.subfolder, file.filename)))) for file in lonely]
        if paths and not await asyncio.to_thread(self._requests.delete, paths):
            return False
        if self._store is not None:
            # The store keeps temporary files below the job's id: others of the same name are separate files.
            own = (each for each in found if each.file in lonely or each.file.type == "temp")
            await self._store.delete({store_path_of(each.file, each.job_id) for each in own})
        for part in sql_helpers.in_chunks(ids):
            gone = delete(AssetRow).where(AssetRow.id.in_(part))
            await self._database.run(lambda connection, gone=gone: connection.execute(gone).close())  # type: ignore[misc]
        return True

    async def _is_shared(self, file: StoredFile, but: Collection[str]) -> bool:
        same = (
            AssetRow.type == file.type, AssetRow.subfolder == file.subfolder, AssetRow.filename == file.filename,
        )  # fmt: skip
        rows = await self._database.read(lambda connection: list(connection.execute(select(AssetRow.id).where(*same))))
        return any(row.id not in but for row in rows)
