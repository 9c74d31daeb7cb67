"""Files with an id: what was uploaded through the Comfy API, and what jobs made."""

from __future__ import annotations

import mimetypes
import uuid
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields, replace
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, exists, insert, select, true, update

from provisioning.gateway.jobs.job import Job, OutputFile, StoredFile
from provisioning.gateway.storage import statements
from provisioning.gateway.storage.database import Database
from provisioning.gateway.storage.lookup import Lookup, seen_by
from provisioning.gateway.storage.tables import AssetRow, columns


@dataclass(frozen=True)
class Asset:
    """One file; the id is random, so knowing a name finds nothing."""

    id: str
    owner: str
    job_id: str | None
    """The job that made it; None for an upload."""
    node_id: str
    type: str
    subfolder: str
    filename: str
    file_path: str
    """What the client called it."""
    content_type: str | None
    size_bytes: int | None
    """None until ComfyUI was asked."""
    hash: str | None
    """`blake3:<hex>` of an upload; not computed for outputs."""
    created_at: int

    @property
    def file(self) -> StoredFile:
        """Return where ComfyUI keeps it."""
        return StoredFile(self.type, self.subfolder, self.filename)


def _from_row(row: Sequence[Any]) -> Asset:
    return Asset(*row)


_EVERY = select(*columns(AssetRow, [field.name for field in fields(Asset)])).order_by(AssetRow.sequence)
_ONE = Lookup(_EVERY.where(AssetRow.id == bindparam("id"), seen_by(AssetRow.owner)), _from_row)
_SAME = Lookup(_EVERY.where(AssetRow.owner == bindparam("owner"), AssetRow.hash == bindparam("hash")), _from_row)
MADE_BY = Lookup(_EVERY.where(AssetRow.job_id == bindparam("job")), _from_row)
"""Finds what a job made."""

_PLACE = (AssetRow.type == bindparam("type"), AssetRow.subfolder == bindparam("subfolder"))
_FILE = (*_PLACE, AssetRow.filename == bindparam("filename"), AssetRow.owner == bindparam("owner"))
OWNED = Lookup(select(exists().where(*_FILE)), itemgetter(0))
"""Finds out whether a file of ComfyUI's is an asset of an owner's."""


_MAKER = Lookup(
    select(AssetRow.job_id)
    .where(*_PLACE, AssetRow.filename == bindparam("filename"), seen_by(AssetRow.owner))
    .order_by(AssetRow.sequence.desc()),
    itemgetter(0),
)


class AssetStore:
    """Finds and keeps assets; every method may raise Problem(STORE_UNAVAILABLE)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, asset: Asset) -> None:
        """Keep a new asset."""
        await self._database.run(lambda connection: add(connection, asset))

    async def get(self, asset_id: str, owner: str | None) -> Asset | None:
        """Return an asset, or None when there is none that `owner` may see; None as owner sees all."""
        return await self._database.read(lambda connection: _ONE.first(connection, id=asset_id, owner=owner))

    async def of_ids(self, asset_ids: Collection[str], owner: str | None) -> dict[str, Asset]:
        """Return those of the assets that exist and that `owner` may see, by id."""
        found: dict[str, Asset] = {}
        for part in statements.in_parts(asset_ids):
            found |= {asset.id: asset for asset in await self._select(AssetRow.id.in_(part), _of(owner))}
        return found

    async def of_hash(self, digest: str, owner: str) -> Asset | None:
        """Return an upload of the owner's with this content."""
        return await self._database.read(lambda connection: _SAME.first(connection, owner=owner, hash=digest))

    async def maker_of(self, file: StoredFile, owner: str | None) -> str | None:
        """Return the newest job that made a file of this name and that `owner` may see, or None."""
        place = {"owner": owner, **asdict(file)}
        return await self._database.read(lambda connection: _MAKER.first(connection, **place))

    async def of_job(self, job_id: str) -> list[Asset]:
        """Return what a job made."""
        return await self._database.read(lambda connection: MADE_BY.all(connection, job=job_id))

    async def of_jobs(self, job_ids: Collection[str]) -> dict[str, list[Asset]]:
        """Return what several jobs made, by the jobs' ids."""
        found: dict[str, list[Asset]] = {}
        for part in statements.in_parts(job_ids):
            for asset in await self._select(AssetRow.job_id.in_(part)):
                found.setdefault(asset.job_id or "", []).append(asset)
        return found

    async def measured(self, asset: Asset, size_bytes: int) -> Asset:
        """Keep the size of an asset and return it with that."""
        change = update(AssetRow).where(AssetRow.id == asset.id).values(size_bytes=size_bytes)
        await self._database.run(lambda connection: connection.execute(change).close())
        return replace(asset, size_bytes=size_bytes)

    async def _select(self, *where: ColumnElement[bool]) -> list[Asset]:
        rows = await self._database.read(lambda connection: list(connection.execute(_EVERY.where(*where))))
        return [_from_row(row) for row in rows]


def add(connection: Connection, asset: Asset) -> None:
    """Keep a new asset, within somebody's transaction."""
    connection.execute(insert(AssetRow).values(**asdict(asset)))


def _of(owner: str | None) -> ColumnElement[bool]:
    return true() if owner is None else AssetRow.owner == owner


def of_job(job: Job, output: OutputFile, now: int) -> Asset:
    """Return the asset that a job's output becomes."""
    file = output.file
    return Asset(
        str(uuid.uuid4()), job.owner, job.id, output.node_id, file.type, file.subfolder, file.filename, file.filename,
        mimetypes.guess_type(file.filename)[0], output.size, None, now,
    )  # fmt: skip
