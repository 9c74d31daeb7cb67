"""Parameters that several operations share, and all parameters of an operation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from provisioning.gateway.core.http.operation import Operation, Parameter
from provisioning.gateway.core.problems import Code

JOB_ID = "0b8f6c1e-7a55-4d0e-9f7c-3f1c2a9d4e10"
ASSET_ID = "5f1f0a52-1d2a-4f0c-8c52-9f0c3f7b2a11"
HASH = "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"

PATH: Mapping[str, Parameter] = {
    "code": Parameter("code", "An error code.", Code.RATE_LIMITED.value, "path", required=True),
    "hash": Parameter("hash", "`blake3:` and 64 hexadecimal digits.", HASH, "path", required=True),
    "id": Parameter("id", "An id from an earlier response.", JOB_ID, "path", required=True),
    "name": Parameter("name", "A node class.", "KSampler", "path", required=True),
    "folder": Parameter("folder", "A model folder.", "checkpoints", "path", required=True),
}
"""Path parameters by name; an operation may declare its own for a more specific description."""

ASSET = Parameter("id", "An asset's id.", ASSET_ID, "path", required=True)


def whole(name: str, text: str, example: int, *, least: int, most: int | None = None) -> Parameter:
    """Return a query parameter that is a whole number."""
    schema = {"type": "integer", "minimum": least} | ({} if most is None else {"maximum": most})
    return Parameter(name, text, example, schema=schema)


def of(operation: Operation) -> list[Parameter]:
    """Return all parameters of an operation: path parameters, then query and header parameters."""
    own = {parameter.name: parameter for parameter in operation.parameters if parameter.place == "path"}
    names = re.findall(r"\{(\w+)\}", operation.path)
    rest = [parameter for parameter in operation.parameters if parameter.place != "path"]
    return [*(own.get(name) or PATH[name] for name in names), *_of_query(operation.query), *rest]


def _of_query(model: type[BaseModel] | None) -> list[Parameter]:
    """Return the parameters that a query model declares; each field has a description and an example."""
    if model is None:
        return []
    whole_schema = model.model_json_schema(ref_template="{model}")
    schemas: dict[str, dict[str, Any]] = _inlined(whole_schema["properties"], whole_schema.get("$defs", {}))
    return [
        Parameter(
            name,
            schema["description"],
            schema["examples"][0],
            schema={word: value for word, value in schema.items() if word not in {"title", "description", "examples"}},
            required=name in whole_schema.get("required", ()),
        )
        for name, schema in schemas.items()
    ]


def _inlined(node: Any, definitions: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any part of a schema
    """Return a part of a schema with references replaced by their definitions."""
    if isinstance(node, dict) and "$ref" in node:
        # Keywords beside the reference, such as a description, override the definition's.
        beside = {name: value for name, value in node.items() if name != "$ref"}
        return _inlined({**definitions[node["$ref"]], **beside}, definitions)
    if isinstance(node, dict):
        return {name: _inlined(value, definitions) for name, value in node.items()}
    return [_inlined(value, definitions) for value in node] if isinstance(node, list) else node
