"""Routes that upload and download pictures."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path

from aiohttp import web
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .folders import Folders, split_annotation
from .requests import server_of

ROUTES = web.RouteTableDef()

_ACTIVE_TYPES = {
    "text/html",
    "text/javascript",
    "application/javascript",
    "text/css",
    "image/svg+xml",
    "text/xml",
    "application/xml",
}
"""Types that a browser would run; they are only ever downloaded."""

Form = Mapping[str, object]


@ROUTES.get("/view")
async def view(request: web.Request) -> web.StreamResponse:
    """Return a file of the input, output or temporary folder, as it is, as a preview, or one of its channels."""
    query = request.query
    found = _find(server_of(request).folders, query.get("filename", ""), query.get("type"), query.get("subfolder"))
    if isinstance(found, int):
        return web.Response(status=found)
    if "preview" in query:
        return _preview(found, query["preview"], query.get("channel", ""))
    if query.get("channel") in {"rgb", "a"}:
        return _channel(found, query["channel"])
    return _file(found)


@ROUTES.post("/upload/image")
async def upload_image(request: web.Request) -> web.Response:
    """Keep an uploaded file."""
    form = await request.post()
    return _upload(server_of(request).folders, form, _write)


@ROUTES.post("/upload/mask")
async def upload_mask(request: web.Request) -> web.Response:
    """Keep a picture that is there already, with the uploaded one as its transparency."""
    form = await request.post()
    reference = json.loads(str(form.get("original_ref", "{}")))
    folders = server_of(request).folders
    kind = reference.get("type", "output")
    original = _find(folders, reference.get("filename", ""), kind, reference.get("subfolder") or None)
    if original == 404:
        # ComfyUI then answers as if it had written something.
        return _upload(folders, form, lambda path, body: None)
    if isinstance(original, int):
        return web.Response(status=original)
    return _upload(folders, form, lambda path, body: _write_masked(original, path, body))


def _find(folders: Folders, annotated: str, kind: str | None, subfolder: str | None) -> Path | int:
    """Return the file, or the status that says why there is none."""
    name, annotation = split_annotation(annotated)
    if not name or name.startswith("/") or ".." in name:
        return 400
    root = folders.by_type.get(annotation or kind or "output")
    if root is None:
        return 400
    folder = Path(root, subfolder or "").resolve()
    if not folder.is_relative_to(root.resolve()):
        return 403
    path = folder / Path(name).name
    return path if path.is_file() else 404


def _preview(path: Path, wish: str, channel: str) -> web.Response:
    words = wish.split(";")
    kind = words[0] if words[0] in {"webp", "jpeg"} and "a" not in channel else "webp"
    quality = int(words[-1]) if words[-1].isdigit() else 90
    with Image.open(path) as picture:
        plain = picture.convert("RGB") if kind == "jpeg" or channel == "rgb" else picture
        return _picture(plain, kind, path.name, quality=quality)


def _channel(path: Path, channel: str) -> web.Response:
    with Image.open(path) as picture:
        if channel == "rgb":
            return _picture(picture.convert("RGB"), "png", path.name)
        alone = Image.new("RGBA", picture.size)
        alone.putalpha(picture.convert("RGBA").getchannel("A"))
        return _picture(alone, "png", path.name)


def _picture(picture: Image.Image, kind: str, name: str, **settings: int) -> web.Response:
    buffer = BytesIO()
    picture.save(buffer, format=kind, **settings)
    headers = {"Content-Disposition": f'filename="{name}"'}
    return web.Response(body=buffer.getvalue(), content_type=f"image/{kind}", headers=headers)


def _file(path: Path) -> web.FileResponse:
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    safe = path.name.replace("\\", "\\\\").replace('"', '\\"')
    headers = {"X-Content-Type-Options": "nosniff", "Content-Type": kind, "Content-Disposition": f'filename="{safe}"'}
    if kind in _ACTIVE_TYPES:
        headers |= {"Content-Type": "application/octet-stream", "Content-Disposition": f'attachment; filename="{safe}"'}
    return web.FileResponse(path, headers=headers)


def _upload(folders: Folders, form: Form, save: Callable[[Path, bytes], None]) -> web.Response:
    image = form.get("image")
    kind = str(form.get("type") or "input")
    if kind not in folders.by_type:
        # ComfyUI falls over an unknown type; a client must not take this for a refusal.
        raise web.HTTPInternalServerError
    if not isinstance(image, web.FileField) or not image.filename:
        return web.Response(status=400)
    subfolder = str(form.get("subfolder", ""))
    root = folders.by_type[kind].resolve()
    path = Path(root, subfolder, image.filename).resolve()
    if not path.is_relative_to(root):
        return web.Response(status=400)
    path.parent.mkdir(parents=True, exist_ok=True)
    body = image.file.read()
    if str(form.get("overwrite")) not in {"true", "1"}:
        path = _free_name(path, body)
    save(path, body)
    return web.json_response({"name": path.name, "subfolder": subfolder, "type": kind})


def _free_name(path: Path, body: bytes) -> Path:
    """Return a name that is free, or one whose file has this very content."""
    name, count = path, 0
    while name.exists() and name.read_bytes() != body:
        count += 1
        name = path.with_name(f"{path.stem} ({count}){path.suffix}")
    return name


def _write(path: Path, body: bytes) -> None:
    path.write_bytes(body)


def _write_masked(original: Path, path: Path, mask: bytes) -> None:
    with Image.open(original) as picture, Image.open(BytesIO(mask)) as alpha:
        info = PngInfo()
        for key, text in getattr(picture, "text", {}).items():
            info.add_text(key, text)
        masked = picture.convert("RGBA")
        masked.putalpha(alpha.convert("RGBA").getchannel("A"))
        masked.save(path, compress_level=4, pnginfo=info)
