"""The OpenAPI 3.1 document, generated from the declared operations."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from provisioning.gateway.core.http.operation import TAG_TEXTS, Answer, Operation, Parameter
from provisioning.gateway.docs import code_samples, parameters, problem_responses
from provisioning.gateway.docs.headers import HEADERS, RATE_LIMIT, RATE_LIMIT_POLICY, REQUEST_ID
from provisioning.gateway.docs.schemas import Schemas

PAGE = "<!doctype html>..."
"""The example of an HTML page."""

VERSION = "3.1.0"
API_VERSION = "2.0.0"
"""The version of the gateway's own API; the Comfy API's version is in its paths."""

INTRODUCTION = """\
A private ComfyUI with API keys, a queue, limits and usage accounting. Clients of the Comfy API v2 (`comfy-sdk`, \
`@comfyorg/sdk`) and clients written for ComfyUI itself work unchanged; each key sees its own jobs and files only."""

SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "Authorization: Bearer cgw_live_..."},
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The same key in the header X-API-Key.",
    },
}


def build(operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the OpenAPI document of operations."""
    table = tuple(operations)
    builder = _Builder(Schemas(table))
    paths: dict[str, dict[str, Any]] = {}
    for operation in table:
        item = paths.setdefault(operation.path, _servers(operation))
        item[operation.method.lower()] = builder.operation(operation)
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
            "examples": problem_responses.examples(),
            "headers": dict(HEADERS),
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def _servers(operation: Operation) -> dict[str, Any]:
    return {"servers": [{"url": "/"}, {"url": "/api"}]} if operation.native else {}


class _Builder:
    """Builds operation objects and collects their shared responses."""

    def __init__(self, schemas: Schemas) -> None:
        self.schemas = schemas
        self.responses: dict[str, Any] = {}

    def operation(self, operation: Operation) -> dict[str, Any]:
        made = {
            "operationId": operation_id(operation),
            "tags": [operation.tag.value],
            "summary": operation.summary,
            "description": operation.text,
            "parameters": [_parameter(parameter) for parameter in parameters.of(operation)],
            "responses": self._refusals(operation) | self._answers(operation),
            "security": _security(operation),
            "x-codeSamples": [{"lang": "Shell", "label": "curl", "source": code_samples.curl(operation)}],
        }
        if (body := operation.body) is not None:
            content = {"schema": self.schemas.body(operation.key), "example": body.example}
            made["requestBody"] = {"required": body.required, "content": {body.media: content}}
        return {name: value for name, value in made.items() if value or name == "security"}

    def _answers(self, operation: Operation) -> dict[str, Any]:
        made = {str(answer.status): self._answer(operation, answer) for answer in operation.answers}
        if operation.web and operation.method == "GET":
            made["303"] = {"description": "Redirects a browser without a session to `/login`."}
        return made

    def _answer(self, operation: Operation, answer: Answer) -> dict[str, Any]:
        carried = [
            REQUEST_ID,
            *((RATE_LIMIT, RATE_LIMIT_POLICY) if operation.needs_key else ()),
            *answer.headers,
        ]
        # The server writes the headers of a WebSocket handshake.
        names = [] if answer.status == 101 else carried
        made: dict[str, Any] = {"description": answer.text}
        if names:
            made["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
        if answer.media is not None:
            content: dict[str, Any] = {}
            if answer.model is not None:
                content["schema"] = self.schemas.answer(operation.key, answer.status)
            if answer.example is not None:
                content["example"] = answer.example
            made["content"] = {answer.media: content} | ({answer.also: {"example": PAGE}} if answer.also else {})
        return made

    def _refusals(self, operation: Operation) -> dict[str, Any]:
        comfy = operation.path.startswith("/api/v2/")
        made = {}
        for status, codes in problem_responses.by_status(problem_responses.codes(operation)).items():
            name = ".".join([*(["comfy"] if comfy else []), str(status), *(code.value for code in codes)])
            if name not in self.responses:
                self.responses[name] = problem_responses.response(status, codes, comfy=comfy)
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


def operation_id(operation: Operation) -> str:
    """Return an operation's id, which generated clients use as a name: `post_api_v2_jobs_id_cancel`."""
    return re.sub(r"\W+", "_", f"{operation.method.lower()}{operation.path}").strip("_")


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    if not operation.needs_key:
        return []
    # OpenAPI 3.1 allows roles for all types of security schemes.
    roles = [] if operation.scope is None else [operation.scope.value]
    return [{name: roles} for name in SECURITY_SCHEMES]
