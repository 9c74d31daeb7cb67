"""Files in and out: each caller in its own realm."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import orjson

from provisioning.gateway.comfyui.realm import Realm, is_safe_name
from provisioning.gateway.comfyui.upstream import Request
from provisioning.gateway.files.places import Kept, place_of
from provisioning.gateway.handlers import stored
from provisioning.gateway.jobs.job import StoredFile
from provisioning.gateway.problems import Code, Problem, fault
from provisioning.gateway.services import Services, visible_owner
from provisioning.gateway.storage.assets import Asset
from provisioning.gateway.web import media
from provisioning.gateway.web.exchange import Exchange
from provisioning.gateway.web.form import Form, encode, pieces, read_form

_TYPES = frozenset({"input", "output", "temp"})
_OPTIONS = {"preview": re.compile(r"(webp|jpeg)(;[0-9]{1,3})?"), "channel": re.compile(r"rgba|rgb|a")}


async def view(services: Services, exchange: Exchange) -> None:
    """Answer with a file that the caller uploaded or that one of its jobs made; raises Problem NOT_FOUND for others."""
    query = exchange.query
    asked = StoredFile(query.get("type", "output"), query.get("subfolder", "").strip("/"), query.get("filename", ""))
    file = await _own_file(services, exchange, asked)
    options = {name: query[name] for name, form in _OPTIONS.items() if form.fullmatch(query.get(name, ""))}
    # A temporary file's name is one job's at a time.
    job_id = await services.assets.maker_of(file, visible_owner(exchange.who)) if file.type == "temp" else None
    await stored.send(services, exchange, Kept(file, place_of(file, job_id)), options)


async def _own_file(services: Services, exchange: Exchange, asked: StoredFile) -> StoredFile:
    _check_names(asked)
    realm = services.realm(exchange.who)
    inside = StoredFile(asked.type, realm.inward(asked.subfolder), asked.filename)
    if exchange.who.is_admin or asked.type == "input":
        return inside
    # Some nodes save outside the owner's folder, where only the record of the job says whose a file is.
    for file in (inside, asked):
        if await services.ledger.owns(exchange.who.owner, file):
            return file
        # What a node of a job that still runs has made can be had at once.
        if await services.tracker.is_showing(exchange.who.owner, file):
            return file
    raise Problem(Code.NOT_FOUND)


def _check_names(file: StoredFile) -> None:
    if file.type not in _TYPES:
        raise Problem(Code.INVALID_REQUEST, "type: input, output or temp.", members=fault("type", "unknown"))
    plain = is_safe_name(file.filename) and "/" not in file.filename and not file.filename.endswith("]")
    if not plain or (file.subfolder and not is_safe_name(file.subfolder)):
        raise Problem(
            Code.INVALID_REQUEST, "Give a plain file name and subfolder.", members=fault("filename", "not plain")
        )


async def upload_image(services: Services, exchange: Exchange) -> None:
    """Store a file in the caller's part of the input folder."""
    await _upload(services, exchange, "/upload/image")


async def upload_mask(services: Services, exchange: Exchange) -> None:
    """Store a mask for an image of the caller's."""
    await _upload(services, exchange, "/upload/mask")


async def _upload(services: Services, exchange: Exchange, path: str) -> None:
    chunks = exchange.chunks(services.settings.max_upload_bytes)
    form = await read_form(exchange.header("content-type") or "", chunks)
    try:
        await exchange.send_json(await _store(services, exchange, path, form))
    finally:
        form.close()


async def _store(services: Services, exchange: Exchange, path: str, form: Form) -> dict[str, Any]:
    realm, filename = services.realm(exchange.who), form.filename or ""
    await _check_upload(services, form, filename)
    fields = {"type": "input", "subfolder": realm.inward(form.fields.get("subfolder", "").strip("/"))}
    if "original_ref" in form.fields:
        fields["original_ref"] = await _original(services, exchange, form.fields["original_ref"])
    if form.fields.get("overwrite") in {"true", "1"}:
        fields["overwrite"] = "true"
    else:
        await services.placing.place_series(StoredFile("input", fields["subfolder"], filename))
    encoded = encode(fields, "image", filename, form.file)
    headers = {"Content-Type": encoded.content_type, "Content-Length": str(encoded.length)}
    status, answer = await services.upstream.call(Request("POST", path, headers=headers, body=encoded.chunks))
    answered = _stored(status, answer, realm)
    file = StoredFile("input", realm.inward(answered["subfolder"]), answered["name"])
    # A mask is put into a copy of its picture: what is to be kept is what ComfyUI made of it.
    content = partial(pieces, form.file) if path == "/upload/image" else partial(_made, services, file)
    await stored.keep_upload(services, file, content)
    await _remember(services, exchange, form, answered)
    return answered


async def _made(services: Services, file: StoredFile) -> AsyncIterator[bytes]:
    params = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
    async with services.upstream.stream(Request("GET", "/view", params)) as reply:
        if reply.status != 200:
            # ComfyUI answers as if it had masked a picture that is not there.
            raise Problem(Code.NOT_FOUND)
        async for piece in reply.chunks:
            yield piece


async def _remember(services: Services, exchange: Exchange, form: Form, answered: dict[str, Any]) -> None:
    """Write down whose file it is: so it goes when its time is over, as all files do."""
    name, subfolder = answered["name"], services.realm(exchange.who).inward(answered["subfolder"])
    kind = media.media_type(form.filename or "", form.head())
    size, now = form.file.seek(0, 2), services.clock.now_ms()
    owner, path = exchange.who.owner, "/".join(filter(None, (answered["subfolder"], name)))
    await services.assets.add(
        Asset(str(uuid.uuid4()), owner, None, "", "input", subfolder, name, path, kind, size, None, now)
    )


async def _check_upload(services: Services, form: Form, filename: str) -> None:
    _check_names(StoredFile(form.fields.get("type", "input"), form.fields.get("subfolder", "").strip("/"), filename))
    if form.fields.get("type", "input") != "input":
        raise Problem(Code.INVALID_REQUEST, "type: uploads go to input.", members=fault("type", "not input"))
    await media.check(filename, form, services.settings.max_image_pixels)
    services.space.check(form.file.seek(0, 2))


async def _original(services: Services, exchange: Exchange, text: str) -> str:
    try:
        raw = orjson.loads(text)
        asked = StoredFile(
            str(raw.get("type", "output")), str(raw.get("subfolder", "")).strip("/"), str(raw["filename"])
        )
    except (orjson.JSONDecodeError, AttributeError, KeyError) as error:
        message = "original_ref: a JSON object with filename, subfolder and type."
        raise Problem(Code.INVALID_REQUEST, message, members=fault("original_ref", "malformed")) from error
    file = await _own_file(services, exchange, asked)
    await services.placing.place([Kept(file, place_of(file))])
    reference = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
    return orjson.dumps(reference).decode()


def _stored(status: int, answer: Any, realm: Realm) -> dict[str, Any]:  # noqa: ANN401 - ComfyUI's JSON
    if status != 200 or not isinstance(answer, dict) or not isinstance(answer.get("name"), str):
        raise Problem(Code.INVALID_REQUEST if status == 400 else Code.UPSTREAM_ERROR)
    return {"name": answer["name"], "subfolder": realm.outward(str(answer.get("subfolder", ""))), "type": "input"}
