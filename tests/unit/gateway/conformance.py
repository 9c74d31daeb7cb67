"""Compares answers with what the served OpenAPI document promises of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from provisioning.gateway.core.http.request_checks import plain_path
from provisioning.gateway.core.http.routing import Match, OperationTable
from provisioning.gateway.core.problems import CONTENT_TYPE, Problem
from provisioning.gateway.docs.document import build
from provisioning.gateway.routes import OPERATIONS

DOCUMENT = build(OPERATIONS)
OPERATION_TABLE = OperationTable(OPERATIONS)

WHERE = "say so in its declaration: @Operation(...) beside its handler, or the models it names"


class CheckedTransport(httpx.AsyncBaseTransport):
    """Passes requests on, and fails where an answer breaks the document."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        response.request = request
        if "json" in response.headers.get("content-type", ""):
            await response.aread()
        check(request.method, _path(request), response)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


def _path(request: httpx.Request) -> str:
    try:
        # An escaped slash is part of a name, and httpx's own path has it as a slash.
        return plain_path({"raw_path": request.url.raw_path.partition(b"?")[0]})
    except Problem:
        return request.url.path


def check(method: str, path: str, response: httpx.Response) -> None:
    """Fail unless the document allows this answer to a request."""
    if path.startswith("/comfy/"):
        # ComfyUI's own editor and what only it calls: no part of what is promised to programs.
        return
    match = OPERATION_TABLE.find(method, path)
    if not isinstance(match, Match):
        # What no route has is answered by the gateway as a whole, in the form of every problem.
        assert response.headers["content-type"] == CONTENT_TYPE, path
        return
    route = match.operation
    name = f"{route.method} {route.path}"
    answers = DOCUMENT["paths"][route.path][route.method.lower()]["responses"]
    status = str(response.status_code)
    assert status in answers, f"{name} answered {status} ({response.text[:200]}), which is not documented: {WHERE}"
    promised = resolved(answers[status])
    for header, described in promised.get("headers", {}).items():
        if resolved(described)["required"]:
            assert header.lower() in response.headers, f"{name} answered {status} without {header}"
    _check_content(f"{name} {status}", promised.get("content", {}), response)


def _check_content(name: str, content: dict[str, Any], response: httpx.Response) -> None:
    kind = response.headers.get("content-type", "").partition(";")[0]
    if not content:
        assert not response.headers.get("content-length", "0").strip("0"), f"{name} has a body, and none is documented"
        return
    media = kind if kind in content else "*/*"
    assert media in content, f"{name} is {kind}, which is not documented: {WHERE}"
    if "schema" in content[media] and response.request.method != "HEAD":
        faults = [_said(error) for error in _validator(name, media).iter_errors(response.json())]
        assert not faults, f"{name}: {'; '.join(faults)}: {WHERE}"


def _said(error: Any) -> str:  # noqa: ANN401 - jsonschema's own
    return f"/{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}"


@cache
def _validator(name: str, media: str) -> Draft202012Validator:
    method, path, status = name.split(" ")
    promised = resolved(DOCUMENT["paths"][path][method.lower()]["responses"][status])
    schema = {"allOf": [promised["content"][media]["schema"]], "components": DOCUMENT["components"]}
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """Return a component that may be referred to."""
    if "$ref" not in node:
        return node
    found: Any = DOCUMENT
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return dict(found)
