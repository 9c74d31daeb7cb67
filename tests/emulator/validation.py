"""Validation of every request and response against RunPod's published OpenAPI."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

Schema = dict[str, Any]
DOCUMENT = "urn:runpod:openapi"
BASE_TYPES = {"integer": int, "number": float}


class Operation:
    """One method on one path of the document."""

    def __init__(self, api: OpenApi, template: str, method: str) -> None:
        item = api.document["paths"][template]
        self.api = api
        self.template = template
        self.spec: Schema = item[method]
        self.parameters = [api.resolve(p) for p in [*item.get("parameters", []), *self.spec.get("parameters", [])]]

    @property
    def has_body(self) -> bool:
        """Say whether the operation takes a request body."""
        return "requestBody" in self.spec

    def request_errors(self, body: object) -> list[str]:
        """Return what is wrong with a request body, in the API's words."""
        content = self.spec["requestBody"]["content"]["application/json"]
        return sorted({text for error in self.api.errors(content["schema"], body) for text in self.api.describe(error)})

    def query_errors(self, query: Mapping[str, str]) -> list[str]:
        """Return what is wrong with the query parameters that the document knows."""
        known = {p["name"]: p for p in self.parameters if p["in"] == "query"}
        found = [(name, self._parse(known[name], value)) for name, value in query.items() if name in known]
        pairs = [(name, error) for name, value in found for error in self.api.errors(known[name]["schema"], value)]
        return [f"{name}: {error.message}" for name, error in pairs]

    def unknown_query(self, query: Iterable[str]) -> list[str]:
        """Return the names of query parameters that the document does not know."""
        known = {p["name"] for p in self.parameters if p["in"] == "query"}
        return sorted(set(query) - known)

    def response_errors(self, status: int, content_type: str, body: bytes) -> list[str]:
        """Return where a response departs from what the document promises."""
        responses = self.spec["responses"]
        spec = responses.get(str(status)) or (responses.get("default") if status >= 400 else None)
        if spec is None:
            return [f"status {status} is not among {sorted(responses)}"]
        content = self.api.resolve(spec).get("content")
        if content is None:
            return [] if not body else [f"status {status} has no body in the document"]
        if content_type not in content:
            return [f"content type {content_type!r} is not among {sorted(content)}"]
        if not content_type.endswith("json"):
            return []
        errors = self.api.errors(content[content_type]["schema"], json.loads(body))
        return [f"{error.json_path}: {error.message}" for error in errors]

    def _parse(self, parameter: Schema, text: str) -> object:
        schema = self.api.resolve(parameter["schema"])
        if schema.get("type") == "array":
            return text.split(",")
        if schema.get("type") == "boolean":
            return {"true": True, "false": False}.get(text, text)
        try:
            return BASE_TYPES.get(str(schema.get("type")), str)(text)
        except ValueError:
            return text


class OpenApi:
    """The document, and a validator for each schema in it."""

    def __init__(self, document: Schema) -> None:
        self.document = document
        resource = Resource.from_contents(document, default_specification=DRAFT202012)
        self._registry: Registry[Any] = Registry().with_resource(DOCUMENT, resource)
        self._validators: dict[str, Draft202012Validator] = {}
        self._operations = {
            (method.upper(), template): Operation(self, template, method)
            for template, item in document["paths"].items()
            for method in item
            if method != "parameters"
        }
        self._patterns = [(re.compile(to_pattern(t)), t) for t in sorted(document["paths"], key=lambda t: t.count("{"))]

    def template(self, path: str) -> str | None:
        """Return the document's path that a request path matches, the most literal one first."""
        return next((template for pattern, template in self._patterns if pattern.fullmatch(path)), None)

    def operation(self, method: str, template: str) -> Operation | None:
        """Return the operation of a method on a path, None where there is none."""
        return self._operations.get((method, template))

    def methods(self, template: str) -> list[str]:
        """Return the methods that a path has."""
        return sorted(method for method, path in self._operations if path == template)

    def resolve(self, node: Schema) -> Schema:
        """Return the node a reference points to, or the node itself."""
        while "$ref" in node:
            target: Any = self.document
            for part in str(node["$ref"]).partition("#/")[2].split("/"):
                target = target[part]
            node = target
        return node

    def errors(self, schema: Schema, value: object) -> list[ValidationError]:
        """Return where a value departs from a schema of the document."""
        return sorted(self._validator(json.dumps(schema)).iter_errors(value), key=lambda error: error.json_path)

    def describe(self, error: ValidationError) -> list[str]:
        """Return an error in the API's words: `$.action: value must be one of 'start', 'stop'`."""
        value: Any = error.validator_value
        instance: Any = error.instance
        match error.validator:
            case "enum":
                return [f"{error.json_path}: value must be one of {', '.join(repr(item) for item in value)}"]
            case "required":
                return [f"{error.json_path}.{name}: property is missing" for name in set(value) - set(instance)]
            case "additionalProperties" | "unevaluatedProperties":
                # A property whose value is wrong counts as unevaluated too; that error is already told.
                names = set(instance) - self._names(error.schema)
                return [f"{error.json_path}.{name}: property is unsupported" for name in names]
        return [f"{error.json_path}: {error.message}"]

    def _names(self, schema: object) -> set[str]:
        node = self.resolve(schema) if isinstance(schema, dict) else {}
        return set(node.get("properties", {})).union(*(self._names(part) for part in node.get("allOf", [])))

    def _validator(self, schema: str) -> Draft202012Validator:
        if schema not in self._validators:
            absolute = json.loads(schema.replace('"#/', f'"{DOCUMENT}#/'))
            self._validators[schema] = Draft202012Validator(absolute, registry=self._registry)
        return self._validators[schema]


def to_pattern(template: str) -> str:
    """Return the regular expression of a templated path."""
    return "/".join("[^/]+" if part.startswith("{") else re.escape(part) for part in template.split("/"))


@cache
def published() -> OpenApi:
    """Return RunPod's document as it is kept beside this file."""
    return OpenApi(json.loads(Path(__file__).with_name("openapi.json").read_text(encoding="utf-8")))
