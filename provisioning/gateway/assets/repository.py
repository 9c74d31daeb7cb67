"""Assets, files with an id: uploads through the Comfy API, and outputs of jobs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, insert, select, true, update

from provisioning.gateway.assets.store.paths import StoredCopy, store_path_of
from provisioning.gateway.core.database import sql_helpers
from provisioning.gateway.core.database.database import Database
from provisioning.gateway.core.database.tables import AssetRow, columns
from provisioning.gateway.upstream.stored_file import StoredFile


@dataclass(frozen=True)
class Asset:
    """A file; the id is random and cannot be guessed from the name."""

    id: str
    owner: str
    job_id: str | None
    """The job that made it; None for an upload."""
    node_id: str
    type: str
    subfolder: str
    filename: str
    file_path: str
    """The client's name for the file."""
    content_type: str | None
    size_bytes: int | None
    """None until it has been measured."""
    hash: str | None
    """`blake3:<hex>` of an upload; not computed for outputs."""
    created_at: int

    @property
    def file(self) -> StoredFile:
        """Return the file in ComfyUI's folders."""
        return StoredFile(self.type, self.subfolder, self.filename)

    @property
    def stored_copy(self) -> StoredCopy:
        """Return the file in ComfyUI's folders and its path in the store."""
        return StoredCopy(self.file, store_path_of(self.file, self.job_id))


def _from_row(row: Sequence[Any]) -> Asset:
    return Asset(*row)


# Statements are built once: to build one costs more than to execute it.
_NEW = insert(AssetRow)
_EVERY = select(*columns(AssetRow, [field.name for field in fields(Asset)])).order_by(AssetRow.sequence)
AT = and_(
    *(column == bindparam(column.key) for column in columns(AssetRow, [field.name for field in fields(StoredFile)]))
)
"""Finds the assets that ComfyUI keeps as the file whose fields are the parameters."""
_OF_JOB = _EVERY.where(AssetRow.job_id == bindparam("job"))


class AssetStore:
    """Finds and stores assets; every method may raise Problem(STORE_UNAVAILABLE)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, asset: Asset) -> None:
        """Store a new asset."""
        await self._database.run(lambda connection: add(connection, asset))

    async def get(self, asset_id: str, owner: str | None) -> Asset | None:
        """Return an asset; None when there is none that `owner` may see. `owner` None means all owners."""
        found = await self._select(AssetRow.id == asset_id, _of(owner))
        return found[0] if found else None

    async def of_ids(self, asset_ids: Collection[str], owner: str | None) -> dict[str, Asset]:
        """Return the existing assets that `owner` may see, by id."""
        found: dict[str, Asset] = {}
        for part in sql_helpers.in_chunks(asset_ids):
            found |= {asset.id: asset for asset in await self._select(AssetRow.id.in_(part), _of(owner))}
        return found

    async def of_hash(self, digest: str, owner: str) -> Asset | None:
        """Return an upload of the owner with this content."""
        found = await self._select(AssetRow.owner == owner, AssetRow.hash == digest)
        return found[0] if found else None

    async def maker_of(self, file: StoredFile, owner: str | None) -> str | None:
        """Return the newest job that made a file of this name; None when there is none that `owner` may see."""
        made = select(AssetRow.job_id).where(AT, _of(owner)).order_by(AssetRow.sequence.desc()).limit(1)
        return await self._database.read(lambda connection: connection.execute(made, asdict(file)).scalar())

    async def of_job(self, job_id: str) -> list[Asset]:
        """Return the outputs of a job."""
        return await self._database.read(lambda connection: made_by(connection, job_id))

    async def of_jobs(self, job_ids: Collection[str]) -> dict[str, list[Asset]]:
        """Return the outputs of several jobs, by job id."""
        found: dict[str, list[Asset]] = {}
        for part in sql_helpers.in_chunks(job_ids):
            for asset in await self._select(AssetRow.job_id.in_(part)):
                found.setdefault(asset.job_id or "", []).append(asset)
        return found

    async def measured(self, asset: Asset, size_bytes: int) -> Asset:
        """Store the size of an asset and return the asset with it."""
        change = update(AssetRow).where(AssetRow.id == asset.id).values(size_bytes=size_bytes)
        await self._database.run(lambda connection: connection.execute(change).close())
        return replace(asset, size_bytes=size_bytes)

    async def _select(self, *where: ColumnElement[bool]) -> list[Asset]:
        rows = await self._database.read(lambda connection: list(connection.execute(_EVERY.where(*where))))
        return [_from_row(row) for row in rows]


def add(connection: Connection, asset: Asset) -> None:
    """Store a new asset, within the caller's transaction."""
    connection.execute(_NEW, asdict(asset))


def made_by(connection: Connection, job_id: str) -> list[Asset]:
    """Return the outputs of a job, within the caller's transaction."""
    return [_from_row(row) for row in connection.execute(_OF_JOB, {"job": job_id})]


def _of(owner: str | None) -> ColumnElement[bool]:
    return true() if owner is None else AssetRow.owner == owner
