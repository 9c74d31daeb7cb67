"""Assets of the Comfy API v2: uploads, and what jobs made."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath

import orjson
from blake3 import blake3

from provisioning.gateway.access.audit import Act
from provisioning.gateway.comfyui.realm import is_safe_name
from provisioning.gateway.comfyui.upstream import Request
from provisioning.gateway.files.places import Kept, place_of
from provisioning.gateway.handlers import stored
from provisioning.gateway.handlers.acting import on_anothers
from provisioning.gateway.jobs.job import StoredFile
from provisioning.gateway.problems import Code, Problem, fault
from provisioning.gateway.services import Services, visible_owner
from provisioning.gateway.storage.assets import Asset
from provisioning.gateway.v2 import documents
from provisioning.gateway.web import media
from provisioning.gateway.web.exchange import Exchange
from provisioning.gateway.web.form import CHUNK_BYTES, Form, encode, pieces, read_form


async def upload(services: Services, exchange: Exchange) -> None:
    """Store a file, unless its bytes are here already; its hash is computed here, whatever the client says of it."""
    chunks = exchange.chunks(services.settings.max_upload_bytes)
    form = await read_form(exchange.header("content-type") or "", chunks, dropped=("tags",))
    try:
        digest = await asyncio.to_thread(_digest, form)
        if form.fields.get("expected_hash", digest) != digest:
            raise Problem(Code.HASH_MISMATCH)
        path = form.fields.get("file_path", "")
        filename = _checked_name(path)
        kind = await media.check(filename, form, services.settings.max_image_pixels)
        services.space.check(form.file.seek(0, 2))
        known = await _known(services, exchange, digest)
        if known is not None:
            await _again(services, exchange, known, path)
            return
        await _answer(services, exchange, await _keep(services, exchange, form, (digest, filename, kind)), created=True)
    finally:
        form.close()


def _digest(form: Form) -> str:
    hasher = blake3()
    form.file.seek(0)
    while chunk := form.file.read(CHUNK_BYTES):
        hasher.update(chunk)
    return f"blake3:{hasher.hexdigest()}"


async def _keep(services: Services, exchange: Exchange, form: Form, known: tuple[str, str, str]) -> Asset:
    digest, filename, kind = known
    asset_id = str(uuid.uuid4())
    # A folder for each asset: two files of one name are two assets.
    subfolder = services.realm(exchange.who).inward(f"assets/{asset_id}")
    encoded = encode({"type": "input", "subfolder": subfolder}, "image", filename, form.file)
    headers = {"Content-Type": encoded.content_type, "Content-Length": str(encoded.length)}
    status, answer = await services.upstream.call(
        Request("POST", "/upload/image", headers=headers, body=encoded.chunks)
    )
    if status != 200 or not isinstance(answer, dict) or not isinstance(answer.get("name"), str):
        raise Problem(Code.UPSTREAM_ERROR)
    owner, now = exchange.who.owner, services.clock.now_ms()
    await stored.keep_upload(services, StoredFile("input", subfolder, answer["name"]), partial(pieces, form.file))
    size = form.file.seek(0, 2)
    asset = Asset(
        asset_id, owner, None, "", "input", subfolder, answer["name"], form.fields["file_path"], kind, size, digest, now
    )
    await services.assets.add(asset)
    return asset


def _checked_name(path: str) -> str:
    _check_path(path)
    return PurePosixPath(path).name


def _check_path(path: object) -> None:
    if not isinstance(path, str) or not is_safe_name(path) or path.endswith("]"):
        message = "file_path: a plain relative path, without '..'."
        raise Problem(Code.INVALID_FIELD, message, members=fault("/file_path", "missing or not plain"))


async def from_hash(services: Services, exchange: Exchange) -> None:
    """Make a new asset over bytes that the caller uploaded before."""
    body = await exchange.json(services.settings.max_body_bytes)
    digest = body.get("hash")
    if not isinstance(digest, str):
        raise Problem(Code.INVALID_FIELD, "hash: 'blake3:' and 64 digits.", members=fault("/hash", "missing"))
    known = await _known(services, exchange, digest)
    if known is None:
        raise Problem(Code.BLOB_NOT_FOUND)
    path = body.get("file_path") or known.file_path
    _check_path(path)
    await _again(services, exchange, known, path)


async def _known(services: Services, exchange: Exchange, digest: str) -> Asset | None:
    """Return an upload of the caller's with this content, if the bytes are where they are to be; raises Problem."""
    known = await services.assets.of_hash(digest, exchange.who.owner)
    if known is None or services.files is None or await services.files.exists(_kept(known).place):
        return known
    return None


async def _again(services: Services, exchange: Exchange, known: Asset, path: str) -> None:
    """Answer with the asset that these bytes are, or, under another path, with a new one over the same bytes."""
    if path == known.file_path:
        await _answer(services, exchange, known, created=False, status=200)
        return
    again = replace(known, id=str(uuid.uuid4()), file_path=path, created_at=services.clock.now_ms())
    await services.assets.add(again)
    await _answer(services, exchange, again, created=False)


async def from_path(_services: Services, _exchange: Exchange) -> None:
    """Refuse to register a file of the machine by its path, as a proxy does that shares no disk with ComfyUI."""
    message = "path: files of the machine are not taken; upload the bytes."
    raise Problem(Code.INVALID_FIELD, message, members=fault("/path", "not taken"))


async def has_hash(services: Services, exchange: Exchange) -> None:
    """Say whether the caller has uploaded these bytes before."""
    if await _known(services, exchange, exchange.params["hash"]) is None:
        raise Problem(Code.BLOB_NOT_FOUND)
    await exchange.send(200, b"", [("content-type", "application/json")])


async def show(services: Services, exchange: Exchange) -> None:
    """Answer with an asset."""
    asset = await measured(services, await _own(services, exchange))
    await exchange.send_json(documents.asset(asset, _view(services, exchange)))


async def content(services: Services, exchange: Exchange) -> None:
    """Answer with an asset's bytes, or the range of them that was asked for."""
    asset = await _own(services, exchange)
    await stored.send(services, exchange, _kept(asset))


async def delete(services: Services, exchange: Exchange) -> None:
    """End an asset; its bytes go too, unless another asset has the same."""
    asset = await _own(services, exchange)
    if any(asset.id.encode() in job.workflow for job in services.tracker.of(asset.owner)):
        raise Problem(Code.STATE_CONFLICT, "An unfinished job reads this asset; wait for its end, or cancel it.")
    await on_anothers(services, exchange, Act.ASSET_DELETED, asset.id, asset.owner)
    await services.expiry.remove(asset)
    await exchange.send(204, b"", [])


async def _own(services: Services, exchange: Exchange) -> Asset:
    asset = await services.assets.get(exchange.params["id"], visible_owner(exchange.who))
    if asset is None:
        raise Problem(Code.NOT_FOUND)
    return asset


async def measured(services: Services, asset: Asset) -> Asset:
    """Return an asset with its size, looked up once; a file that is gone stays without."""
    if asset.size_bytes is not None:
        return asset
    if services.files is not None:
        async with services.files.opened(_kept(asset).place) as content:
            if content is not None:
                return await services.assets.measured(asset, content.size)
    async with services.upstream.stream(Request("HEAD", "/view", _place(asset))) as reply:
        length = reply.headers.get("content-length", "")
    return await services.assets.measured(asset, int(length)) if reply.status == 200 and length.isdigit() else asset


def _kept(asset: Asset) -> Kept:
    return Kept(asset.file, place_of(asset.file, asset.job_id))


def _place(asset: Asset) -> dict[str, str]:
    return {"filename": asset.filename, "subfolder": asset.subfolder, "type": asset.type}


def _view(services: Services, exchange: Exchange) -> documents.View:
    return documents.View(documents.base_url(exchange), services.clock.now_ms(), 0)


async def _answer(services: Services, exchange: Exchange, asset: Asset, *, created: bool, status: int = 201) -> None:
    document = documents.asset(asset, _view(services, exchange), created_new=created)
    await exchange.send(status, orjson.dumps(document), [("content-type", "application/json")])
