"""The OpenAPI 3.1 document, made from the route table and the operations' tables."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from provisioning.gateway.openapi import parameters, refusals, samples
from provisioning.gateway.openapi.headers import HEADERS, RATE_LIMIT, RATE_LIMIT_POLICY, REQUEST_ID
from provisioning.gateway.openapi.operation import TAG_TEXTS, Answer, Operation, Parameter
from provisioning.gateway.openapi.schemas import Schemas
from provisioning.gateway.openapi.tables import OPERATIONS

if TYPE_CHECKING:
    from provisioning.gateway.route import Route

PAGE = "<!doctype html>..."
"""Stands for a page in an example."""

VERSION = "3.1.0"
API_VERSION = "2.0.0"
"""Of our own routes; the Comfy API's version is in its paths."""

INTRODUCTION = """\
A private ComfyUI behind API keys, queue, limits and usage. Clients of the Comfy API v2 (`comfy-sdk`, `@comfyorg/sdk`) \
and clients written for ComfyUI itself work unchanged; both see nothing but what is their key's own."""

SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "Authorization: Bearer cgw_live_..."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key in a header."},
}


def key_of(route: Route) -> str:
    """Return the key under which the tables hold a route's operation."""
    return f"{route.method} {route.path}"


def build(routes: Iterable[Route]) -> dict[str, Any]:
    """Return the document; raises KeyError for a route without an operation."""
    table = [(route, OPERATIONS[key_of(route)]) for route in routes]
    builder = _Builder(Schemas((key_of(route), operation) for route, operation in table))
    paths: dict[str, dict[str, Any]] = {}
    for route, operation in table:
        item = paths.setdefault(route.path, _servers(route))
        item[route.method.lower()] = builder.operation(route, operation)
    return {
        "openapi": VERSION,
        "info": {"title": "ComfyUI gateway", "version": API_VERSION, "description": INTRODUCTION},
        "servers": [{"url": "/"}],
        "security": [{name: []} for name in SECURITY_SCHEMES],
        "tags": [{"name": tag.value, "description": text} for tag, text in TAG_TEXTS.items()],
        "paths": paths,
        "components": {
            "schemas": builder.schemas.components,
            "responses": builder.responses,
            "examples": refusals.examples(),
            "headers": dict(HEADERS),
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def _servers(route: Route) -> dict[str, Any]:
    return {"servers": [{"url": "/"}, {"url": "/api"}]} if route.native else {}


class _Builder:
    """Writes operations, and collects the responses they share."""

    def __init__(self, schemas: Schemas) -> None:
        self.schemas = schemas
        self.responses: dict[str, Any] = {}

    def operation(self, route: Route, operation: Operation) -> dict[str, Any]:
        key = key_of(route)
        made = {
            "operationId": operation_id(route),
            "tags": [operation.tag.value],
            "summary": operation.summary,
            "description": operation.text,
            "parameters": [_parameter(parameter) for parameter in parameters.of(route, operation)],
            "responses": self._refusals(route, operation) | self._answers(route, operation),
            "security": _security(route),
            "x-codeSamples": [{"lang": "Shell", "label": "curl", "source": samples.curl(route, operation)}],
        }
        if (body := operation.body) is not None:
            content = {"schema": self.schemas.body(key), "example": body.example}
            made["requestBody"] = {"required": body.required, "content": {body.media: content}}
        return {name: value for name, value in made.items() if value or name == "security"}

    def _answers(self, route: Route, operation: Operation) -> dict[str, Any]:
        made = {str(answer.status): self._answer(route, answer) for answer in operation.answers}
        if route.web and route.method == "GET":
            made["303"] = {"description": "A browser without a session is sent to `/login`."}
        return made

    def _answer(self, route: Route, answer: Answer) -> dict[str, Any]:
        carried = [REQUEST_ID, *(() if refusals.is_public(route) else (RATE_LIMIT, RATE_LIMIT_POLICY)), *answer.headers]
        # Of a WebSocket's handshake the server writes the headers.
        names = [] if answer.status == 101 else carried
        made: dict[str, Any] = {"description": answer.text}
        if names:
            made["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
        if answer.media is not None:
            content: dict[str, Any] = {}
            if answer.model is not None:
                content["schema"] = self.schemas.answer(key_of(route), answer.status)
            if answer.example is not None:
                content["example"] = answer.example
            made["content"] = {answer.media: content} | ({answer.also: {"example": PAGE}} if answer.also else {})
        return made

    def _refusals(self, route: Route, operation: Operation) -> dict[str, Any]:
        comfy = route.path.startswith("/api/v2/")
        made = {}
        for status, codes in refusals.by_status(refusals.codes(route, operation)).items():
            name = ".".join([*(["comfy"] if comfy else []), str(status), *(code.value for code in codes)])
            if name not in self.responses:
                self.responses[name] = refusals.response(status, codes, comfy=comfy)
            made[str(status)] = {"$ref": f"#/components/responses/{name}"}
        return made


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required,
        "description": parameter.text,
        "schema": dict(parameter.schema or {"type": "string"}),
        "example": parameter.example,
    }


def operation_id(route: Route) -> str:
    """Return a name for a route that a generated client can use: `post_api_v2_jobs_id_cancel`."""
    return re.sub(r"\W+", "_", f"{route.method.lower()}{route.path}").strip("_")


def _security(route: Route) -> list[dict[str, list[str]]]:
    if refusals.is_public(route):
        return []
    # OpenAPI 3.1 lets every scheme name the roles that a caller needs.
    scope = refusals.scope_of(route)
    return [{name: [] if scope is None else [scope]} for name in SECURITY_SCHEMES]
