"""Generate docs/settings.md from the models of a stack file; `make fix` runs it."""

from __future__ import annotations

import re
import sys
import types
import typing
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from components.naming import PROJECT
from stacks.sections import Section
from stacks.settings import Settings

HEAD = f"""# Settings of a stack file

Generated from `stacks/sections.py` and `provisioning/contract/gateway_options.py` by `make fix`; edit the text there.
Keys are below `config:` in `stacks/Pulumi.<environment>.yaml`, each after `{PROJECT}:`, for example `{PROJECT}:volume`.
`components/runpod/schema.json` describes the provider's own settings (`runpod:apiKey`, `runpod:apiUrl` and others).
"""


def page() -> str:
    """Return the page: one table for the keys of the file, and one for each section."""
    fields = {name: field for name, field in Settings.model_fields.items() if name != "environment"}
    tables = [_table(PROJECT, fields)]
    tables += [_table(title, section.model_fields, section) for title, section in _sections("", fields)]
    return "\n".join((HEAD, *tables))


def _sections(prefix: str, fields: dict[str, FieldInfo]) -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in fields.items():
        for section in models(field.annotation):
            title = prefix + (field.alias or name)
            yield title, section
            yield from _sections(f"{title}.", section.model_fields)


def models(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - any type
    """Return the sections that a field of this type holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from models(argument)


def _table(title: str, fields: dict[str, FieldInfo], section: type[BaseModel] = Section) -> str:
    about = "" if section is Section else f"{_sentence(section.__doc__ or '')}\n\n"
    rows = "\n".join(_row(field.alias or name, field) for name, field in fields.items())
    return f"\n## {title}\n\n{about}| key | type | default | meaning |\n|---|---|---|---|\n{rows}\n"


def _row(name: str, field: FieldInfo) -> str:
    return f"| `{name}` | {_type(field.annotation)} | {_default(field)} | {_sentence(field.description or '')} |"


def _sentence(text: str) -> str:
    """Return a docstring as one line, with option names in camelCase."""
    line = " ".join(text.split()).replace("|", "\\|")
    return re.sub(r"`([a-z]+(?:_[a-z]+)+)`", lambda name: f"`{to_camel(name[1])}`", line)


def _type(annotation: Any) -> str:  # noqa: ANN401 - a type of any form
    arguments = typing.get_args(annotation)
    match typing.get_origin(annotation):
        case typing.Annotated:
            named = _type(arguments[0])
        case typing.Union | types.UnionType:
            named = " or ".join(_type(each) for each in arguments if each is not type(None))
        case origin if origin is tuple:
            named = f"list of {_type(arguments[0])}"
        case None:
            named = _plain_type(annotation)
        case _:
            named = "mapping"
    return named


def _plain_type(annotation: type) -> str:
    if issubclass(annotation, StrEnum):
        return ", ".join(f"`{each.value}`" for each in annotation)
    return "section" if issubclass(annotation, BaseModel) else _NAMES[annotation]


_NAMES = {str: "text", int: "integer", float: "number", bool: "`true` or `false`", SecretStr: "secret"}


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    match value:
        case _ if field.is_required():
            shown = "required"
        case bool():
            shown = f"`{str(value).lower()}`"
        case int() | float():
            shown = f"`{value:g}`" if isinstance(value, float) else f"`{value}`"
        case str() if value:
            shown = f"`{value}`"
        case tuple() if value:
            shown = ", ".join(f"`{each}`" for each in value).replace("|", "\\|")
        case _:
            shown = ""
    return shown


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
