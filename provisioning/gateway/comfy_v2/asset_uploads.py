"""Uploads of the Comfy API v2: bytes that the caller uploaded before are not stored again."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import NamedTuple

from blake3 import blake3

from provisioning.gateway.assets.repository import Asset, AssetStore
from provisioning.gateway.assets.store.store import FileStore
from provisioning.gateway.assets.uploads import Uploads
from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.http.multipart import CHUNK_BYTES, Form, pieces
from provisioning.gateway.core.problems import Code, Problem, fault
from provisioning.gateway.upstream.owner_namespace import OwnerNamespace, is_safe_name
from provisioning.gateway.upstream.stored_file import StoredFile


class Uploaded(NamedTuple):
    """An asset that an upload gave its caller."""

    asset: Asset
    is_new: bool
    """Whether its bytes are new."""
    was_there: bool
    """Whether the asset was there already."""


@dataclass(frozen=True)
class AssetUploads:
    """Makes assets of uploads; every method may raise Problem."""

    assets: AssetStore
    uploads: Uploads
    store: FileStore | None
    clock: Clock
    namespace_of: Callable[[Actor], OwnerNamespace]

    async def upload(self, actor: Actor, form: Form) -> Uploaded:
        """Store a file, unless its bytes are here already; its hash is computed here, whatever the client says."""
        digest = await asyncio.to_thread(_digest, form)
        if form.fields.get("expected_hash", digest) != digest:
            raise Problem(Code.HASH_MISMATCH)
        path = form.fields.get("file_path", "")
        filename = _checked_name(path)
        kind = await self.uploads.check(filename, form)
        known = await self.find(actor, digest)
        if known is not None:
            return await self._again(known, path)
        asset_id = str(uuid.uuid4())
        file = await self._give(actor, asset_id, filename, form)
        size, now = form.file.seek(0, 2), self.clock.now_ms()
        asset = Asset(
            asset_id, actor.owner, None, "", "input", file.subfolder, file.filename, path, kind, size, digest, now
        )
        await self.assets.add(asset)
        return Uploaded(asset, is_new=True, was_there=False)

    async def _give(self, actor: Actor, asset_id: str, filename: str, form: Form) -> StoredFile:
        """Give ComfyUI the file and keep it; returns where ComfyUI has it."""
        # A folder for each asset: two files of one name are two assets.
        subfolder = self.namespace_of(actor).add_root(f"assets/{asset_id}")
        fields = {"type": "input", "subfolder": subfolder}
        status, answer = await self.uploads.give("/upload/image", fields, filename, form)
        if status != 200 or not isinstance(answer, dict) or not isinstance(answer.get("name"), str):
            raise Problem(Code.UPSTREAM_ERROR)
        file = StoredFile("input", subfolder, answer["name"])
        await self.uploads.keep(file, partial(pieces, form.file))
        return file

    async def from_hash(self, actor: Actor, digest: str, path: str | None) -> Uploaded:
        """Make an asset over bytes that the caller uploaded before; without a path, under the same as before."""
        known = await self.find(actor, digest)
        if known is None:
            raise Problem(Code.BLOB_NOT_FOUND)
        path = path or known.file_path
        _check_path(path)
        return await self._again(known, path)

    async def find(self, actor: Actor, digest: str) -> Asset | None:
        """Return an upload of the caller's with this content, if the bytes are where they are to be."""
        known = await self.assets.of_hash(digest, actor.owner)
        if known is None or self.store is None or await self.store.exists(known.stored_copy.place):
            return known
        return None

    async def _again(self, known: Asset, path: str) -> Uploaded:
        """Return the asset that these bytes are, or, under another path, a new one over the same bytes."""
        if path == known.file_path:
            return Uploaded(known, is_new=False, was_there=True)
        again = replace(known, id=str(uuid.uuid4()), file_path=path, created_at=self.clock.now_ms())
        await self.assets.add(again)
        return Uploaded(again, is_new=False, was_there=False)


def _digest(form: Form) -> str:
    hasher = blake3()
    form.file.seek(0)
    while chunk := form.file.read(CHUNK_BYTES):
        hasher.update(chunk)
    return f"blake3:{hasher.hexdigest()}"


def _checked_name(path: str) -> str:
    _check_path(path)
    return PurePosixPath(path).name


def _check_path(path: str) -> None:
    if not is_safe_name(path) or path.endswith("]"):
        message = "file_path: a plain relative path, without '..'."
        raise Problem(Code.INVALID_FIELD, message, members=fault("/file_path", "missing or not plain"))
