"""Uploads in ComfyUI's form: images, and masks for images."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial

import orjson

from provisioning.gateway.assets.repository import Asset, AssetStore
from provisioning.gateway.assets.staging.inputs import InputStaging
from provisioning.gateway.assets.store.paths import StoredCopy, store_path_of
from provisioning.gateway.assets.uploads import Uploads
from provisioning.gateway.comfyui_api.own_files import OwnFiles, check_names
from provisioning.gateway.comfyui_api.schemas import StoredImage
from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.folder_locks import Folder, FolderLocks
from provisioning.gateway.core.http import media_types
from provisioning.gateway.core.http.multipart import Form, pieces
from provisioning.gateway.core.problems import Code, Problem, fault
from provisioning.gateway.upstream.client import ComfyUIClient, Request
from provisioning.gateway.upstream.owner_namespace import OwnerNamespace
from provisioning.gateway.upstream.stored_file import StoredFile


@dataclass(frozen=True)
class ImageUploads:
    """Stores uploads, each in its caller's part of ComfyUI's input folder."""

    own_files: OwnFiles
    uploads: Uploads
    assets: AssetStore
    folders: FolderLocks
    staging: InputStaging
    upstream: ComfyUIClient
    clock: Clock
    namespace_of: Callable[[Actor], OwnerNamespace]

    async def store(self, actor: Actor, path: str, form: Form) -> StoredImage:
        """Store the file of a form through ComfyUI's upload route at `path`; raises Problem."""
        await self._check(form)
        subfolder = self.namespace_of(actor).add_root(_subfolder(form))
        async with self.folders.writing({Folder("input", subfolder)}):
            return await self._store(actor, path, form, subfolder)

    async def _check(self, form: Form) -> None:
        kind, filename = form.fields.get("type", "input"), form.filename or ""
        check_names(StoredFile(kind, _subfolder(form), filename))
        if kind != "input":
            raise Problem(Code.INVALID_REQUEST, "type: must be input.", members=fault("type", "not input"))
        await self.uploads.check(filename, form)

    async def _store(self, actor: Actor, path: str, form: Form, subfolder: str) -> StoredImage:
        namespace, filename = self.namespace_of(actor), form.filename or ""
        fields = {"type": "input", "subfolder": subfolder}
        if "original_ref" in form.fields:
            fields["original_ref"] = await self._original(actor, form.fields["original_ref"])
        if form.fields.get("overwrite") in {"true", "1"}:
            fields["overwrite"] = "true"
        else:
            await self.staging.stage_series(StoredFile("input", subfolder, filename))
        stored = _stored(*await self.uploads.give(path, fields, filename, form), namespace)
        file = StoredFile("input", namespace.add_root(stored.subfolder), stored.name)
        # ComfyUI writes a mask into a copy of its image; that copy is the file to keep.
        content = partial(pieces, form.file) if path == "/upload/image" else partial(self._masked, file)
        await self.uploads.keep(file, content)
        await self._record(actor, form, file, stored)
        return stored

    async def _masked(self, file: StoredFile) -> AsyncIterator[bytes]:
        params = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        async with self.upstream.stream(Request("GET", "/view", params)) as reply:
            if reply.status != 200:
                # ComfyUI reports success for a mask of a missing image.
                raise Problem(Code.NOT_FOUND)
            async for piece in reply.chunks:
                yield piece

    async def _record(self, actor: Actor, form: Form, file: StoredFile, stored: StoredImage) -> None:
        """Store an asset for the file, so that it has an owner and expires like all files."""
        kind = media_types.media_type(form.filename or "", form.head())
        size, now = form.file.seek(0, 2), self.clock.now_ms()
        path = "/".join(filter(None, (stored.subfolder, stored.name)))
        asset = Asset(
            str(uuid.uuid4()), actor.owner, None, "", file.type, file.subfolder, file.filename, path, kind, size, None,
            now,
        )  # fmt: skip
        await self.assets.add(asset)

    async def _original(self, actor: Actor, text: str) -> str:
        """Put a mask's image into ComfyUI's folder and return its reference in ComfyUI's names; raises Problem."""
        try:
            raw = orjson.loads(text)
            asked = StoredFile(
                str(raw.get("type", "output")), str(raw.get("subfolder", "")).strip("/"), str(raw["filename"])
            )
        except (orjson.JSONDecodeError, AttributeError, KeyError) as error:
            message = "original_ref: must be a JSON object with filename, subfolder and type."
            raise Problem(Code.INVALID_REQUEST, message, members=fault("original_ref", "malformed")) from error
        file = await self.own_files.find(actor, asked)
        await self.staging.stage([StoredCopy(file, store_path_of(file))])
        reference = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        return orjson.dumps(reference).decode()


def _subfolder(form: Form) -> str:
    return form.fields.get("subfolder", "").strip("/")


def _stored(status: int, answer: object, namespace: OwnerNamespace) -> StoredImage:
    """Return ComfyUI's answer to an upload, in the owner's names; raises Problem."""
    if status != 200 or not isinstance(answer, dict) or not isinstance(answer.get("name"), str):
        raise Problem(Code.INVALID_REQUEST if status == 400 else Code.UPSTREAM_ERROR)
    return StoredImage(
        name=answer["name"], subfolder=namespace.strip_root(str(answer.get("subfolder", ""))), type="input"
    )
