"""The end of files: those whose time is over, and those that their owner wants gone; rows and bytes together.

The gateway has no rights over ComfyUI's folders: the bytes are deleted by the pod's helper, who is asked before the
row goes. A crash in between means that the same is asked for again, and a file that is gone already is as good as
deleted.
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
    """An asset that is to end."""

    id: str
    job_id: str | None
    file: StoredFile


class Expiry:
    """Ends files; every method may raise Problem(STORE_UNAVAILABLE)."""

    def __init__(self, database: Database, requests: HelperRequests, store: FileStore | None, batch: int) -> None:
        """`store` keeps the bytes beside ComfyUI's folders; one request deletes at most `batch` files."""
        self.folders = FolderLocks()
        """Whoever writes into a folder of ComfyUI's takes it here, so that a new file does not end with the old one."""
        self._database = database
        self._requests = requests
        self._store = store
        self._batch = batch

    async def run(self, before: int) -> int:
        """End every file that was made or uploaded before a time; returns how many assets that were.

        Stops where the pod's helper cannot be asked: the rows stay, and the next run asks again.
        """
        ended = 0
        while (found := await self._older(before)) and await self._end(found):
            ended += len(found)
        return ended

    async def remove(self, asset: Asset) -> None:
        """End one asset, and its file unless another has the same; raises Problem when it has to be tried again."""
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
            # A temporary file lies below its job's id there: others of its name are other files.
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
