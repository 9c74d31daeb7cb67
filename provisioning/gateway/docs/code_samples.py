"""A curl command for every operation."""

from __future__ import annotations

import json
import shlex
from urllib.parse import quote, urlencode

from provisioning.gateway.core.http.operation import EVENTS, FORM, PLAIN_FORM, Body, Operation
from provisioning.gateway.docs import parameters

FILES = frozenset({"file", "image"})
"""Form fields that contain a file."""


def curl(operation: Operation) -> str:
    """Return the curl command of an operation, which uses the shell variables GATEWAY and KEY."""
    parts = ["curl"]
    parts += ["-N"] if any(answer.media == EVENTS for answer in operation.answers) else []
    implied = "GET" if operation.body is None else "POST"
    parts += ["-X", operation.method] if operation.method != implied else []
    lines = [" ".join([*parts, f'"$GATEWAY{_target(operation)}"'])]
    if operation.needs_key:
        lines.append('-H "Authorization: Bearer $KEY"')
    if operation.body is not None and operation.body.media == PLAIN_FORM:
        # Required, since a form without it might come from another site.
        lines.append('-H "Origin: $GATEWAY"')
    return " \\\n  ".join(lines + (_body(operation.body) if operation.body else []))


def _target(operation: Operation) -> str:
    path, query = operation.path, {}
    for parameter in parameters.of(operation):
        if parameter.place == "path":
            path = path.replace(f"{{{parameter.name}}}", quote(str(parameter.example), safe=":"))
        elif parameter.place == "query" and parameter.required:
            query[parameter.name] = parameter.example
    return path + (f"?{urlencode(query)}" if query else "")


def _body(body: Body) -> list[str]:
    if body.media == FORM:
        return [f"-F {shlex.quote(_field(name, value))}" for name, value in body.example.items()]
    if body.media == PLAIN_FORM:
        return [f"--data-urlencode {shlex.quote(f'{name}={value}')}" for name, value in body.example.items()]
    return ["-H 'Content-Type: application/json'", f"-d {shlex.quote(json.dumps(body.example))}"]


def _field(name: str, value: str) -> str:
    return f"{name}=@{value}" if name in FILES else f"{name}={value}"
