"""The gateway's options in the form of their page, generated from the model that validates them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic.alias_generators import to_camel

from provisioning.contract.gateway_options import Options

Schema = Mapping[str, Any]

_NAME = re.compile(r"`([a-z][a-z0-9_]*)`")


@dataclass(frozen=True)
class Option:
    """An option."""

    name: str
    """The name in the stack file."""
    text: str
    form: str
    """The type and range of the value."""
    default: tuple[str, ...]
    """The default as JSON, or one item per entry of a list."""


def options() -> tuple[Option, ...]:
    """Return all options in the order of the model."""
    schema = Options.model_json_schema()
    defaults = Options().model_dump(mode="json", by_alias=True)
    kinds = schema["$defs"]
    return tuple(
        Option(name, _camel(found["description"]), _form(found, kinds), _default(defaults[name]))
        for name, found in schema["properties"].items()
    )


def _camel(text: str) -> str:
    """Return a text with names of options in the stack file's spelling."""
    return _NAME.sub(lambda match: f"`{to_camel(match[1])}`" if match[1] in Options.model_fields else match[0], text)


def _default(value: object) -> tuple[str, ...]:
    if isinstance(value, list) and value:
        return tuple(map(json.dumps, value))
    return (json.dumps(value),)


def _form(found: Schema, kinds: Schema) -> str:
    if "$ref" in found:
        return _choice(found, kinds, " or ")
    simple = {"boolean": "Boolean", "array": "List", "integer": "Integer", "number": "Number"}
    if found["type"] == "object":
        levels = (found, found["additionalProperties"])
        units, periods = (_choice(level["propertyNames"], kinds, ", ") for level in levels)
        return f"Amounts by unit ({units}) and period ({periods})"
    return simple[found["type"]] + _bounds(found)


def _choice(reference: Schema, kinds: Schema, separator: str) -> str:
    return separator.join(f"`{word}`" for word in kinds[reference["$ref"].rpartition("/")[2]]["enum"])


def _bounds(found: Schema) -> str:
    words = {"exclusiveMinimum": "above", "minimum": "from", "maximum": "to"}
    bounds = [f"{word} {found[name]:,}" for name, word in words.items() if name in found]
    return " " + " ".join(bounds) if bounds else ""
