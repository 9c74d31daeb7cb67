"""The editor's files and settings, which every client can read and write as in ComfyUI."""

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


@ROUTES.get("/settings/{name}")
async def get_setting(request: web.Request) -> web.Response:
    """Tell one of the editor's settings."""
    path = _root(request) / "comfy.settings.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return web.json_response(known.get(request.match_info["name"]))


@ROUTES.post("/settings/{name}")
async def post_setting(request: web.Request) -> web.Response:
    """Change one of the editor's settings."""
    path = _root(request) / "comfy.settings.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps(known | {request.match_info["name"]: await request.json()}), encoding="utf-8")
    return web.Response()


@ROUTES.get("/userdata")
async def list_files(request: web.Request) -> web.Response:
    """List the files of one folder."""
    folder = _path(request, request.query.get("dir", ""))
    if not folder.is_dir():
        return web.Response(status=404)
    pattern = "**/*" if request.query.get("recurse") == "true" else "*"
    paths = sorted(path for path in folder.glob(pattern) if path.is_file())
    if request.query.get("full_info") == "true":
        return web.json_response([_info(path, folder) for path in paths])
    return web.json_response([path.relative_to(folder).as_posix() for path in paths])


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
    if request.query.get("full_info") == "true":
        return web.json_response(_info(path, _root(request)))
    return web.json_response(path.relative_to(_root(request)).as_posix())


@ROUTES.post("/userdata/{file}/move/{dest}")
async def move_file(request: web.Request) -> web.Response:
    """Give a file another name."""
    path, target = (_path(request, request.match_info[name]) for name in ("file", "dest"))
    if not path.is_file():
        return web.Response(status=404)
    if request.query.get("overwrite") == "false" and target.exists():
        return web.Response(status=409, text="File already exists")
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)
    return web.json_response(target.relative_to(_root(request)).as_posix())


@ROUTES.delete("/userdata/{file}")
async def delete_file(request: web.Request) -> web.Response:
    """Remove a file."""
    path = _path(request, request.match_info["file"])
    if not path.is_file():
        return web.Response(status=404)
    path.unlink()
    return web.Response(status=204)


def _info(path: Path, folder: Path) -> dict[str, object]:
    found = path.stat()
    times = {"modified": int(found.st_mtime * 1000), "created": int(found.st_ctime * 1000)}
    return {"path": path.relative_to(folder).as_posix(), "size": found.st_size, **times}


def _root(request: web.Request) -> Path:
    root = server_of(request).folders.user.resolve() / "default"
    root.mkdir(exist_ok=True)
    return root


def _path(request: web.Request, name: str) -> Path:
    path = (_root(request) / name).resolve()
    if not path.is_relative_to(_root(request)):
        raise web.HTTPForbidden
    return path
