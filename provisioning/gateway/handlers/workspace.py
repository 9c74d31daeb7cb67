"""ComfyUI's own store for its editor: settings and saved workflows, files on the machine, for an admin alone.

ComfyUI tells users apart by a header that the client chooses, which never gets past us: there is one store.
"""

from __future__ import annotations

from collections.abc import Mapping

from provisioning.gateway.access.admission import SAFE_METHODS
from provisioning.gateway.access.audit import Act
from provisioning.gateway.comfyui.realm import is_safe_name
from provisioning.gateway.comfyui.upstream import MAX_JSON_BYTES, Request
from provisioning.gateway.files.workspace import SETTINGS, Workspace
from provisioning.gateway.handlers.acting import note
from provisioning.gateway.handlers.passing import asked_path, display_headers
from provisioning.gateway.problems import Code, Problem, fault
from provisioning.gateway.services import Services
from provisioning.gateway.web.exchange import Exchange

_QUERY = frozenset({"dir", "path", "recurse", "full_info", "split", "overwrite"})
_ERRORS: Mapping[int, Code] = {
    400: Code.INVALID_REQUEST,
    403: Code.INVALID_REQUEST,
    404: Code.NOT_FOUND,
    409: Code.FILE_EXISTS,
}


async def forward(services: Services, exchange: Exchange) -> None:
    """Hand a request for the store to ComfyUI and its answer back; raises Problem."""
    if exchange.params or exchange.query:
        _check_names(exchange)
    await services.workspace.place()
    params = {name: exchange.query[name] for name in _QUERY.intersection(exchange.query)}
    body = await exchange.whole(services.settings.max_body_bytes)
    headers = {"Content-Type": "application/json"} if body else {}
    if exchange.method not in SAFE_METHODS:
        await note(services, exchange, Act.WORKSPACE_CHANGED, asked_path(exchange), method=exchange.method)
    request = Request(exchange.method, asked_path(exchange), params, headers, body or None)
    async with services.upstream.stream(request) as reply:
        if reply.status not in {200, 201, 204}:
            raise Problem(_ERRORS.get(reply.status, Code.UPSTREAM_ERROR))
        # What could be saved can be read again.
        content = await reply.whole(max(MAX_JSON_BYTES, services.settings.max_body_bytes))
        kind = reply.headers.get("content-type", "application/octet-stream")
    if exchange.method not in SAFE_METHODS:
        await _keep(services.workspace, exchange)
    if exchange.method == "DELETE":
        await exchange.send(204, b"", [])
        return
    await exchange.send(reply.status, content, [("content-type", kind), *display_headers(kind)])


async def _keep(workspace: Workspace, exchange: Exchange) -> None:
    """Have the store know of a change before it is answered; raises Problem."""
    names = _names(exchange)
    if not names:
        await workspace.keep(SETTINGS)
    elif len(names) > 1:
        await workspace.move(*names)
    elif exchange.method == "DELETE":
        await workspace.drop(names[0])
    else:
        await workspace.keep(names[0])


def _names(exchange: Exchange) -> list[str]:
    return [exchange.params[name].replace("%2F", "/") for name in ("file", "dest") if name in exchange.params]


def _check_names(exchange: Exchange) -> None:
    names = _names(exchange) + [exchange.query[name] for name in ("dir", "path") if exchange.query.get(name)]
    for name in names:
        if not is_safe_name(name.removesuffix("/")):
            raise Problem(Code.INVALID_REQUEST, "Give a plain relative path.", members=fault("file", "not plain"))
