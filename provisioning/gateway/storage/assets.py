"""Files with an id: what was uploaded through the Comfy API, and what jobs made."""

from __future__ import annotations

import mimetypes
import sqlite3
import uuid
from collections.abc import Collection
from dataclasses import astuple, dataclass, fields, replace
from typing import Any

import orjson

from provisioning.gateway.jobs.job import Job, OutputFile, StoredFile
from provisioning.gateway.storage.database import Database


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


class AssetStore:
    """Finds and keeps assets; every method may raise Problem(STORE_UNAVAILABLE)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, asset: Asset) -> None:
        """Keep a new asset."""
        await self._database.run(lambda connection: insert(connection, asset))

    async def get(self, asset_id: str, owner: str | None) -> Asset | None:
        """Return an asset, or None when there is none that `owner` may see; None as owner sees all."""
        found = await self._select("id = ?1 AND (?2 IS NULL OR owner = ?2)", (asset_id, owner))
        return found[0] if found else None

    async def of_ids(self, asset_ids: Collection[str], owner: str | None) -> dict[str, Asset]:
        """Return those of the assets that exist and that `owner` may see, by id."""
        chosen = orjson.dumps(list(asset_ids)).decode()
        where = "id IN (SELECT value FROM json_each(?1)) AND (?2 IS NULL OR owner = ?2)"
        return {asset.id: asset for asset in await self._select(where, (chosen, owner))}

    async def of_hash(self, digest: str, owner: str) -> Asset | None:
        """Return an upload of the owner's with this content."""
        found = await self._select("owner = ? AND hash = ?", (owner, digest))
        return found[0] if found else None

    async def of_job(self, job_id: str) -> list[Asset]:
        """Return what a job made."""
        return await self._select("job_id = ?", (job_id,))

    async def measured(self, asset: Asset, size_bytes: int) -> Asset:
        """Keep the size of an asset and return it with that."""
        sql = "UPDATE assets SET size_bytes = ? WHERE id = ?"
        await self._database.run(lambda connection: connection.execute(sql, (size_bytes, asset.id)).rowcount)
        return replace(asset, size_bytes=size_bytes)

    async def _select(self, where: str, values: tuple[Any, ...]) -> list[Asset]:
        sql = f"SELECT * FROM assets WHERE {where} ORDER BY rowid"  # noqa: S608 - constants of this module
        rows = await self._database.read(lambda connection: connection.execute(sql, values).fetchall())
        return [Asset(**dict(row)) for row in rows]


def insert(connection: sqlite3.Connection, asset: Asset) -> None:
    """Keep a new asset, within somebody's transaction."""
    places = ", ".join("?" * len(fields(Asset)))
    connection.execute(f"INSERT INTO assets VALUES ({places})", astuple(asset))  # noqa: S608 - question marks


def of_job(job: Job, output: OutputFile, now: int) -> Asset:
    """Return the asset that a job's output becomes."""
    file = output.file
    return Asset(
        str(uuid.uuid4()), job.owner, job.id, output.node_id, file.type, file.subfolder, file.filename, file.filename,
        mimetypes.guess_type(file.filename)[0], None, None, now,
    )  # fmt: skip
