"""Uploads of the Comfy API v2; content that the caller uploaded before is not stored again."""

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


class UploadedAsset(NamedTuple):
    """The asset of an upload."""

    asset: Asset
    is_new: bool
    """Whether the content is new."""
    existed: bool
    """Whether the asset existed before."""


@dataclass(frozen=True)
class AssetUploads:
    """Creates assets from uploads; every method may raise Problem."""

    assets: AssetStore
    uploads: Uploads
    store: FileStore | None
    clock: Clock
    namespace_of: Callable[[Actor], OwnerNamespace]

    async def upload(self, actor: Actor, form: Form) -> UploadedAsset:
        """Store a file, unless its content is stored already; the gateway computes the hash itself."""
        digest = await asyncio.to_thread(_digest, form)
        if form.fields.get("expected_hash", digest) != digest:
            raise Problem(Code.HASH_MISMATCH)
        path = form.fields.get("file_path", "")
        filename = _checked_name(path)
        kind = await self.uploads.check(filename, form)
        known = await self.find(actor, digest)
        if known is not None:
            return await self._reuse(known, path)
        asset_id = str(uuid.uuid4())
        file = await self._send_to_comfyui(actor, asset_id, filename, form)
        size, now = form.file.seek(0, 2), self.clock.now_ms()
        asset = Asset(
            asset_id, actor.owner, None, "", "input", file.subfolder, file.filename, path, kind, size, digest, now
        )
        await self.assets.add(asset)
        return UploadedAsset(asset, is_new=True, existed=False)

    async def _send_to_comfyui(self, actor: Actor, asset_id: str, filename: str, form: Form) -> StoredFile:
        """Upload the file to ComfyUI and store it; returns ComfyUI's names of it."""
        # One folder per asset, since two assets may have files of the same name.
        subfolder = self.namespace_of(actor).add_root(f"assets/{asset_id}")
        fields = {"type": "input", "subfolder": subfolder}
        status, answer = await self.uploads.give("/upload/image", fields, filename, form)
        if status != 200 or not isinstance(answer, dict) or not isinstance(answer.get("name"), str):
            raise Problem(Code.UPSTREAM_ERROR)
        file = StoredFile("input", subfolder, answer["name"])
        await self.uploads.keep(file, partial(pieces, form.file))
        return file

    async def from_hash(self, actor: Actor, digest: str, path: str | None) -> UploadedAsset:
        """Create an asset for content that the caller uploaded before; without a path, it has the earlier asset's."""
        known = await self.find(actor, digest)
        if known is None:
            raise Problem(Code.BLOB_NOT_FOUND)
        path = path or known.file_path
        _check_path(path)
        return await self._reuse(known, path)

    async def find(self, actor: Actor, digest: str) -> Asset | None:
        """Return the caller's upload with this content, if its file is still stored."""
        known = await self.assets.of_hash(digest, actor.owner)
        if known is None or self.store is None or await self.store.exists(known.stored_copy.place):
            return known
        return None

    async def _reuse(self, known: Asset, path: str) -> UploadedAsset:
        """Return the known asset, or for another path a new one with the same content."""
        if path == known.file_path:
            return UploadedAsset(known, is_new=False, existed=True)
        copy = replace(known, id=str(uuid.uuid4()), file_path=path, created_at=self.clock.now_ms())
        await self.assets.add(copy)
        return UploadedAsset(copy, is_new=False, existed=False)


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
        message = "file_path: must be a plain relative path without '..'."
        raise Problem(Code.INVALID_FIELD, message, members=fault("/file_path", "missing or not plain"))
