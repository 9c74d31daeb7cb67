"""ComfyUI's own web editor, for an admin's browser: its page, its scripts and pictures."""

from __future__ import annotations

import base64
import hashlib
import re

from provisioning.gateway.comfyui.realm import is_safe_name
from provisioning.gateway.comfyui.upstream import Request
from provisioning.gateway.handlers.passing import STREAMED_REPLY_HEADERS, segment
from provisioning.gateway.problems import Code, Problem
from provisioning.gateway.services import Services
from provisioning.gateway.web.exchange import Exchange

ROOT = "/comfy/"

FOLDERS = frozenset({"assets", "cursor", "docs", "extensions", "fonts", "lib", "scripts", "templates"})
"""What ComfyUI serves as files. Every other path of its could be a custom node's route, and do anything."""

HASHED = frozenset({"assets", "fonts"})
"""Folders whose files are named by their content: a browser asks for each of them once. Those of `lib` are not."""

FOREVER = "private, max-age=31536000, immutable"
MAX_PAGE_BYTES = 1024 * 1024

_ROOT_FILE = re.compile(r"[A-Za-z0-9_.-]{1,128}\.(css|js|json|ico|png|svg|txt|webp|woff2?)", re.ASCII)
_INLINE_SCRIPT = re.compile(rb'<script(?: type="importmap")?>(.*?)</script>', re.DOTALL)
"""Older editors say in an import map where their libraries lie, and its policy is that of a script."""

# The editor compiles expressions of its widgets, and keeps pictures as blobs; it may talk to nobody but us.
_POLICY = (
    "default-src 'none'; base-uri 'self'; connect-src 'self' blob: data:; font-src 'self' data:; form-action 'none'; "
    "frame-ancestors 'none'; img-src 'self' blob: data:; manifest-src 'self'; media-src 'self' blob: data:; "
    "style-src 'self' 'unsafe-inline'; worker-src 'self' blob:; script-src 'self' blob: 'unsafe-eval'"
)


async def moved(_services: Services, exchange: Exchange) -> None:
    """Send a browser to the address that the page's own links are relative to."""
    await exchange.send(308, b"", [("location", ROOT)])


async def page(services: Services, exchange: Exchange) -> None:
    """Answer with the editor's page; of the scripts in it, those run that it came with."""
    async with services.upstream.stream(Request("GET", "/")) as reply:
        body = bytearray()
        async for chunk in reply.chunks:
            body += chunk
            if len(body) > MAX_PAGE_BYTES:
                raise Problem(Code.UPSTREAM_ERROR)
    if reply.status != 200:
        raise Problem(Code.UPSTREAM_ERROR)
    sources = "".join(f" '{_hash(script)}'" for script in _INLINE_SCRIPT.findall(bytes(body)))
    headers = [("content-type", "text/html; charset=utf-8"), ("content-security-policy", _POLICY + sources)]
    await exchange.send(200, bytes(body), headers)


def _hash(script: bytes) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}"


async def file(services: Services, exchange: Exchange) -> None:
    """Answer with a file of the editor's; raises Problem NOT_FOUND for all that is not one."""
    parts = list(exchange.params.values())
    folder = parts[0] if len(parts) > 1 else ""
    plain = is_safe_name("/".join(parts)) and (folder in FOLDERS or bool(_ROOT_FILE.fullmatch(parts[0])))
    if not plain or (folder and folder not in FOLDERS):
        raise Problem(Code.NOT_FOUND)
    await _send(
        services,
        exchange,
        "/" + "/".join(map(segment, parts)),
        FOREVER if folder in HASHED and parts[1] != "lib" else "no-cache",
    )


async def _send(services: Services, exchange: Exchange, path: str, caching: str) -> None:
    wanted = {name: value for name in ("if-none-match", "if-modified-since") if (value := exchange.header(name))}
    async with services.upstream.stream(Request(exchange.method, path, headers=wanted)) as reply:
        if reply.status not in {200, 304}:
            raise Problem(Code.NOT_FOUND if reply.status == 404 else Code.UPSTREAM_ERROR)
        kept = [(name, reply.headers[name]) for name in STREAMED_REPLY_HEADERS if name in reply.headers]
        # Scripts that run as workers take their policy from their own answer.
        await exchange.start(reply.status, [*kept, ("cache-control", caching), ("content-security-policy", _POLICY)])
        async for chunk in reply.chunks:
            await exchange.write(chunk, more=True)
        await exchange.write(b"", more=False)
