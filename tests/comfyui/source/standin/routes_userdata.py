"""What the editor keeps for its user: files and settings, for whoever asks, as in ComfyUI."""

from __future__ import annotations

import json
from pathlib import Path

from aiohttp import web

from .requests import server_of

ROUTES = web.RouteTableDef()


@ROUTES.get("/users")
async def users(request: web.Request) -> web.Response:
    """Tell that there is one user."""
    del request
    return web.json_response({"storage": "server", "migrated": True})


@ROUTES.get("/settings")
async def get_settings(request: web.Request) -> web.Response:
    """Tell the editor's settings."""
    path = _root(request) / "comfy.settings.json"
    return web.json_response(json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {})


@ROUTES.post("/settings")
async def post_settings(request: web.Request) -> web.Response:
    """Change some of the editor's settings."""
    path = _root(request) / "comfy.settings.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps(known | await request.json()), encoding="utf-8")
    return web.Response()


@ROUTES.get("/userdata")
async def list_files(request: web.Request) -> web.Response:
    """List the files of one folder."""
    folder = _path(request, request.query.get("dir", ""))
    if not folder.is_dir():
        return web.Response(status=404)
    pattern = "**/*" if request.query.get("recurse") == "true" else "*"
    names = [path.relative_to(folder).as_posix() for path in folder.glob(pattern) if path.is_file()]
    return web.json_response(sorted(names))


@ROUTES.get("/userdata/{file}")
async def get_file(request: web.Request) -> web.StreamResponse:
    """Return a file."""
    path = _path(request, request.match_info["file"])
    return web.FileResponse(path) if path.is_file() else web.Response(status=404)


@ROUTES.post("/userdata/{file}")
async def post_file(request: web.Request) -> web.Response:
    """Write a file."""
    path = _path(request, request.match_info["file"])
    if request.query.get("overwrite") == "false" and path.exists():
        return web.Response(status=409, text="File already exists")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(await request.read())
    return web.json_response(path.relative_to(_root(request)).as_posix())


@ROUTES.delete("/userdata/{file}")
async def delete_file(request: web.Request) -> web.Response:
    """Remove a file."""
    path = _path(request, request.match_info["file"])
    if not path.is_file():
        return web.Response(status=404)
    path.unlink()
    return web.Response(status=204)


def _root(request: web.Request) -> Path:
    root = server_of(request).folders.user.resolve() / "default"
    root.mkdir(exist_ok=True)
    return root


def _path(request: web.Request, name: str) -> Path:
    path = (_root(request) / name).resolve()
    if not path.is_relative_to(_root(request)):
        raise web.HTTPForbidden
    return path
