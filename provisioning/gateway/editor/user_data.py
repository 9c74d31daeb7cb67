"""The operations on the editor's settings and saved workflows, for admins only.

ComfyUI identifies users by a header that the client chooses; the gateway does not forward it, so there is one user.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from provisioning.gateway.admin.audit import AuditAction
from provisioning.gateway.admin.audit_context import AuditTrail
from provisioning.gateway.core.http.operation import (
    ANY_MEDIA,
    UPSTREAM,
    Answer,
    Body,
    BodySize,
    Operation,
    Parameter,
    Tag,
)
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.http.request_checks import SAFE_METHODS
from provisioning.gateway.core.problems import Code, Problem, fault
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.editor.files import SETTINGS, Workspace
from provisioning.gateway.upstream.client import MAX_JSON_BYTES, ComfyUIClient, Request
from provisioning.gateway.upstream.owner_namespace import is_safe_name
from provisioning.gateway.upstream.proxy import asked_path, display_headers, header_text

V2_USER_DATA = "/v2/userdata"
"""Served at this path only, since /api/v2 is the Comfy API."""

QUERY = frozenset({"dir", "path", "recurse", "full_info", "split", "overwrite"})
"""Query parameters that are forwarded to ComfyUI."""

FILE = Parameter(
    "file", "A path below the user's folder, with slashes as `%2F`.", "portrait.json", "path", required=True
)
DESTINATION = Parameter("dest", "The new path, likewise.", "landscape.json", "path", required=True)
SETTING = Parameter("id", "A setting's name.", "Comfy.Locale", "path", required=True)
FOLDER = (
    Parameter("dir", "A folder.", "workflows", required=True),
    Parameter("recurse", "`true` includes subfolders.", "true"),
    Parameter("full_info", "`true` includes sizes and times.", "true"),
    Parameter("split", "`true` splits paths into parts.", "false"),
)
OVERWRITE = (
    Parameter("overwrite", "`false` refuses to replace an existing file.", "false"),
    Parameter("full_info", "`true` includes size and times.", "true"),
)
KEPT = Answer("The change is stored.", None, None, media=ANY_MEDIA)

_ERRORS: Mapping[int, Code] = {
    400: Code.INVALID_REQUEST,
    403: Code.INVALID_REQUEST,
    404: Code.NOT_FOUND,
    409: Code.FILE_EXISTS,
}


def _stored(
    method: str,
    path: str,
    summary: str,
    answer: Answer,
    parameters: tuple[Parameter, ...] = (),
    body: Body | None = None,
) -> Operation:
    """Return an operation of ComfyUI on its user data."""
    full = (Code.STORAGE_FULL,) if answer is KEPT else ()
    problems = (Code.INVALID_REQUEST, Code.NOT_FOUND, Code.FILE_EXISTS, *UPSTREAM, *full)
    return Operation(
        method=method, path=path, access=Scope.ADMIN, tag=Tag.OPERATIONS, summary=summary, answers=(answer,),
        parameters=parameters, body=body, problems=problems, native=path != V2_USER_DATA,
    )  # fmt: skip


def _passed(example: Any) -> Answer:  # noqa: ANN401 - any JSON
    return Answer("ComfyUI's response.", Any, example)


def _json(example: Any) -> Body:  # noqa: ANN401 - any JSON
    return Body(Any, example, required=False, size=BodySize.WORKFLOW)


class UserDataRoutes:
    """Forwards requests for user data to ComfyUI, and stores the changes."""

    def __init__(self, workspace: Workspace, upstream: ComfyUIClient, audit: AuditTrail, max_body_bytes: int) -> None:
        self._workspace = workspace
        self._upstream = upstream
        self._audit = audit
        self._max_body_bytes = max_body_bytes

    @_stored("GET", "/users", "Show how ComfyUI keeps users", _passed({"storage": "server", "migrated": True}))
    @_stored("GET", "/settings", "Show the editor's settings", _passed({"Comfy.Locale": "en"}))
    @_stored("POST", "/settings", "Change settings of the editor", KEPT, body=_json({"Comfy.Locale": "en"}))
    @_stored("GET", "/settings/{id}", "Show a setting", _passed("en"), (SETTING,))
    @_stored("POST", "/settings/{id}", "Change a setting", KEPT, (SETTING,), _json("de"))
    @_stored("GET", "/userdata", "List saved files", _passed(["portrait.json"]), FOLDER)
    @_stored(
        "GET",
        V2_USER_DATA,
        "List saved files and folders",
        _passed([{"name": "workflows", "path": "workflows", "type": "directory"}]),
        (Parameter("path", "A folder.", "workflows"),),
    )
    @_stored("GET", "/userdata/{file}", "Download a saved file", Answer("The file.", media=ANY_MEDIA), (FILE,))
    @_stored("POST", "/userdata/{file}", "Save a file", KEPT, (FILE, *OVERWRITE), _json({}))
    @_stored(
        "DELETE",
        "/userdata/{file}",
        "Delete a saved file",
        Answer("The file is deleted.", status=204, media=None),
        (FILE,),
    )
    @_stored("POST", "/userdata/{file}/move/{dest}", "Rename a saved file", KEPT, (FILE, DESTINATION, *OVERWRITE))
    async def forward(self, request: GatewayRequest) -> Response:
        """Forward a request for user data to ComfyUI and return the response; raises Problem."""
        _check_names(request)
        await self._workspace.restore()
        body = await request.body()
        changes = request.method not in SAFE_METHODS
        if changes:
            path = asked_path(request)
            await self._audit.note(request, AuditAction.WORKSPACE_CHANGED, path, method=request.method)
        async with self._upstream.stream(_request(request, body)) as reply:
            if reply.status not in {200, 201, 204}:
                raise Problem(_ERRORS.get(reply.status, Code.UPSTREAM_ERROR))
            # At least as large as a file that may be saved.
            content = await reply.whole(max(MAX_JSON_BYTES, self._max_body_bytes))
            kind = reply.headers.get("content-type", "application/octet-stream")
        if changes:
            await self._keep(request)
        if request.method == "DELETE":
            return Response(status_code=204)
        return Response(content, reply.status, headers={"content-type": header_text(kind)} | display_headers(kind))

    async def _keep(self, request: GatewayRequest) -> None:
        """Copy a change to the store before the response; raises Problem."""
        names = _names(request)
        if not names:
            await self._workspace.keep(SETTINGS)
        elif len(names) > 1:
            await self._workspace.move(*names)
        elif request.method == "DELETE":
            await self._workspace.delete(names[0])
        else:
            await self._workspace.keep(names[0])


def _request(request: GatewayRequest, body: bytes) -> Request:
    params = {name: request.query[name] for name in QUERY.intersection(request.query)}
    headers = {"Content-Type": "application/json"} if body else {}
    return Request(request.method, asked_path(request), params, headers, body or None)


def _names(request: GatewayRequest) -> list[str]:
    return [request.path_params[name].replace("%2F", "/") for name in ("file", "dest") if name in request.path_params]


def _check_names(request: GatewayRequest) -> None:
    """Raise Problem INVALID_REQUEST for a name that leads out of the user's folder."""
    names = _names(request) + [request.query[name] for name in ("dir", "path") if request.query.get(name)]
    for name in names:
        if not is_safe_name(name.removesuffix("/")):
            raise Problem(
                Code.INVALID_REQUEST, "file: must be a plain relative path.", members=fault("file", "not plain")
            )
