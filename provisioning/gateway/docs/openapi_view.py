"""The OpenAPI document in the form of the reference page: groups of operations with their fields."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from provisioning.gateway.core.http.operation import JSON

METHODS = frozenset({"get", "post", "put", "patch", "delete"})


@dataclass(frozen=True)
class Field:
    """A field of a body, a parameter or a form field."""

    name: str
    kind: str
    text: str


@dataclass(frozen=True)
class AnswerView:
    """A successful response."""

    status: str
    text: str
    media: str
    fields: tuple[Field, ...]
    example: str


@dataclass(frozen=True)
class OperationView:
    """An operation."""

    id: str
    method: str
    path: str
    alias: str
    summary: str
    text: str
    scope: str
    open: bool
    """Whether the operation needs no key."""
    parameters: tuple[Field, ...]
    media: str
    fields: tuple[Field, ...]
    curl: str
    answers: tuple[AnswerView, ...]
    errors: tuple[tuple[str, str], ...]
    """Status and code of each error, sorted by status."""
    tag: str


@dataclass(frozen=True)
class Group:
    """The operations of a tag."""

    id: str
    name: str
    text: str
    entries: tuple[OperationView, ...]


class ReferenceView:
    """The operations of an OpenAPI document, for the pages."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self.entries = tuple(self._entries())
        closed = [frozenset(entry.errors) for entry in self.entries if not entry.open]
        self.common = tuple(sorted(frozenset.intersection(*closed))) if closed else ()
        """Errors of all operations that need a key, which the page shows once."""
        self.groups = tuple(self._groups())

    def _groups(self) -> Iterator[Group]:
        for tag in self._document["tags"]:
            name = tag["name"]
            entries = tuple(entry for entry in self.entries if entry.tag == name)
            if entries:
                yield Group(re.sub(r"\W+", "-", name.lower()), name, tag["description"], entries)

    def _entries(self) -> Iterator[OperationView]:
        for path, item in self._document["paths"].items():
            alias = f"/api{path}" if len(item.get("servers", ())) > 1 else ""
            for method in item:
                if method in METHODS:
                    yield self._entry(path, method, alias, item[method])

    def _entry(self, path: str, method: str, alias: str, operation: Mapping[str, Any]) -> OperationView:
        media, content = next(iter(operation.get("requestBody", {}).get("content", {"": {}}).items()))
        security = operation.get("security", [])
        return OperationView(
            id=operation["operationId"],
            method=method.upper(),
            path=path,
            alias=alias,
            summary=operation["summary"],
            text=operation.get("description", ""),
            scope=", ".join(next(iter(security[0].values()))) if security else "",
            open=not security,
            parameters=tuple(self._parameter(parameter) for parameter in operation.get("parameters", ())),
            media=media,
            fields=self._fields(content.get("schema", {})),
            curl=operation["x-codeSamples"][0]["source"],
            answers=tuple(self._answers(operation)),
            errors=tuple(self._errors(operation)),
            tag=operation["tags"][0],
        )

    def _parameter(self, parameter: Mapping[str, Any]) -> Field:
        kind = f"{parameter['in']}, {self._kind(parameter['schema'])}" + (", required" if parameter["required"] else "")
        return Field(parameter["name"], kind, parameter["description"])

    def _answers(self, operation: Mapping[str, Any]) -> Iterator[AnswerView]:
        for status, answer in operation["responses"].items():
            if "$ref" not in answer:
                media, content = next(iter(answer.get("content", {"": {}}).items()))
                fields = self._fields(content.get("schema", {})) if media == JSON else ()
                yield AnswerView(status, answer["description"], media, fields, _example_text(content.get("example")))

    def _errors(self, operation: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for status, answer in operation["responses"].items():
            if "$ref" in answer:
                content = next(iter(self._resolved(answer)["content"].values()))
                yield from ((status, code) for code in content["examples"])

    def _fields(self, schema: Mapping[str, Any]) -> tuple[Field, ...]:
        described = self._resolved(schema)
        required = described.get("required", ())
        return tuple(
            Field(name, self._kind(member) + (", required" if name in required else ""), member.get("description", ""))
            for name, member in described.get("properties", {}).items()
        )

    def _kind(self, schema: Mapping[str, Any]) -> str:
        if "anyOf" in schema:
            return " or ".join(dict.fromkeys(self._kind(option) for option in schema["anyOf"]))
        if "$ref" in schema:
            return str(schema["$ref"].rpartition("/")[2])
        if "enum" in schema or "const" in schema:
            return ", ".join(map(str, schema.get("enum", [schema.get("const")])))
        if schema.get("type") == "array" and "items" in schema:
            return f"array of {self._kind(schema['items'])}"
        kind = str(schema.get("type", "any"))
        named = {"binary": "file", "date-time": "date-time"}.get(str(schema.get("format")), kind)
        return named + _bounds(schema)

    def _resolved(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        if "$ref" not in node:
            return node
        found: Any = self._document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return dict(found)


def _bounds(schema: Mapping[str, Any]) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is None and most is None:
        return ""
    return f", {least} to {most}" if None not in {least, most} else f", at least {least}" if most is None else ""


def _example_text(example: Any) -> str:  # noqa: ANN401 - any JSON
    if example is None or isinstance(example, str):
        return example or ""
    return json.dumps(example, indent=2, ensure_ascii=False)
