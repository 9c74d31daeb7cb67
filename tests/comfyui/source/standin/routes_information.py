"""Routes that describe nodes, models and the machine."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import web

from .model_files import SafetensorError, read_header
from .requests import server_of

ROUTES = web.RouteTableDef()

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>ComfyUI stand-in</title>
<h1>This is a stand-in for ComfyUI</h1>
<p>It has ComfyUI's HTTP and WebSocket interface and draws patterns instead of generating images.
There is no editor here; submit workflows in API form to <code>/prompt</code>.</p>
</html>
"""


@ROUTES.get("/")
async def page(request: web.Request) -> web.StreamResponse:
    """Give the editor's page, or say what this is."""
    headers = {"Cache-Control": "no-store, must-revalidate"}
    if (editor := server_of(request).options.front_end) is not None:
        return web.FileResponse(editor / "index.html", headers=headers)
    return web.Response(text=_PAGE, content_type="text/html", headers=headers)


@ROUTES.get("/object_info")
async def object_info(request: web.Request) -> web.Response:
    """Tell every node class."""
    registry = server_of(request).registry
    return web.json_response({name: registry.info(name) for name in registry.classes})


@ROUTES.get("/object_info/{node_class}")
async def object_info_of(request: web.Request) -> web.Response:
    """Tell one node class; an empty object where it is not known."""
    registry, name = server_of(request).registry, request.match_info["node_class"]
    return web.json_response({name: registry.info(name)} if name in registry.classes else {})


@ROUTES.get("/models")
async def model_kinds(request: web.Request) -> web.Response:
    """Tell the kinds of models."""
    return web.json_response(server_of(request).folders.kinds)


@ROUTES.get("/models/{folder}")
async def models(request: web.Request) -> web.Response:
    """Tell the models of one kind."""
    folders, kind = server_of(request).folders, request.match_info["folder"]
    return web.json_response(folders.model_names(kind)) if kind in folders.kinds else web.Response(status=404)


@ROUTES.get("/embeddings")
async def embeddings(request: web.Request) -> web.Response:
    """Tell the embeddings, without their suffix."""
    names = server_of(request).folders.model_names("embeddings")
    return web.json_response([str(Path(name).with_suffix("")) for name in names])


@ROUTES.get("/view_metadata/{folder_name}")
async def view_metadata(request: web.Request) -> web.Response:
    """Tell the metadata in a model's header."""
    name = request.query.get("filename", "")
    path = server_of(request).folders.model_path(request.match_info["folder_name"], name)
    if path is None or path.suffix != ".safetensors":
        return web.Response(status=404)
    try:
        metadata = read_header(path).get("__metadata__")
    except SafetensorError:
        metadata = None
    return web.Response(status=404) if metadata is None else web.json_response(metadata)


@ROUTES.get("/extensions")
async def extensions(request: web.Request) -> web.Response:
    """Tell the scripts that custom nodes bring for the editor."""
    return web.json_response(
        [
            f"/extensions/{quote(name)}/{path.relative_to(folder).as_posix()}"
            for name, folder in server_of(request).registry.web_folders.items()
            for path in sorted(folder.rglob("*.js"))
        ]
    )


@ROUTES.get("/i18n")
@ROUTES.get("/node_replacements")
@ROUTES.get("/global_subgraphs")
@ROUTES.get("/workflow_templates")
async def nothing(request: web.Request) -> web.Response:
    """Tell what custom nodes bring for the editor (languages, replacements, subgraphs, templates): nothing."""
    del request
    return web.json_response({})


@ROUTES.get("/features")
async def features(request: web.Request) -> web.Response:
    """Tell what the server can do."""
    return web.json_response(server_of(request).features())


@ROUTES.get("/system_stats")
async def system_stats(request: web.Request) -> web.Response:
    """Tell versions and memory; the device's name says that there is none."""
    total, free = _memory()
    system = {
        "os": sys.platform,
        "ram_total": total,
        "ram_free": free,
        "comfyui_version": _version(),
        "python_version": sys.version,
        "pytorch_version": "none (stand-in)",
        "embedded_python": False,
        "argv": list(server_of(request).options.argv),
    }
    names = ("vram_total", "vram_free", "torch_vram_total", "torch_vram_free")
    amounts = dict(zip(names, (total, free, total, free), strict=True))
    device: dict[str, Any] = {"name": "cpu (ComfyUI stand-in)", "type": "cpu", "index": None}
    return web.json_response({"system": system, "devices": [device | amounts]})


def _memory() -> tuple[int, int]:
    page = os.sysconf("SC_PAGE_SIZE")
    # Not every system tells the free pages; the total stands in for them there.
    free_name = "SC_AVPHYS_PAGES" if "SC_AVPHYS_PAGES" in os.sysconf_names else "SC_PHYS_PAGES"
    return page * os.sysconf("SC_PHYS_PAGES"), page * os.sysconf(free_name)


def _version() -> str:
    # The file lies beside main.py, outside this package, as it does in ComfyUI.
    return str(runpy.run_path(str(Path(__file__).parents[1] / "comfyui_version.py"))["__version__"])
