"""A file server beside the API: stand-in repositories and small models, which pods download."""

from __future__ import annotations

import asyncio
import importlib
import logging
from pathlib import Path

from aiohttp import web

from tests.emulator import emulator

STANDIN = "tests.comfyui"
"""The package that fills the directory, where it is there."""

log = logging.getLogger("emulator")
routes = web.RouteTableDef()


@routes.get("/files/{path:.+}")
async def get_file(request: web.Request) -> web.StreamResponse:
    """Send a file, or the part that Range asks for."""
    root = emulator.of(request).files.resolve()
    path = (root / request.match_info["path"]).resolve()
    if not path.is_relative_to(root) or not path.is_file():
        raise web.HTTPNotFound(text="no such file\n")
    # A dumb HTTP client of git must not see a repository as it was: refs change under the same name.
    return web.FileResponse(path, headers={"Cache-Control": "no-cache"})


async def publish(directory: Path) -> None:
    """Let the ComfyUI stand-in fill the directory, when it is part of this checkout."""
    await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
    try:
        standin = importlib.import_module(STANDIN)
    except ModuleNotFoundError as error:
        if error.name != STANDIN:
            raise
        log.warning("%s is not there: the file server has what lies in %s", STANDIN, directory)
        return
    await asyncio.to_thread(standin.publish, directory)
