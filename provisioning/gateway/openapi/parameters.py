"""Parameters that several routes share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from provisioning.gateway.openapi.operation import Operation, Parameter
from provisioning.gateway.problems import Code

if TYPE_CHECKING:
    from provisioning.gateway.route import Route

JOB_ID = "0b8f6c1e-7a55-4d0e-9f7c-3f1c2a9d4e10"
ASSET_ID = "5f1f0a52-1d2a-4f0c-8c52-9f0c3f7b2a11"
HASH = "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"

PATH: Mapping[str, Parameter] = {
    "code": Parameter("code", "An error code of the catalogue.", Code.RATE_LIMITED.value, "path", required=True),
    "hash": Parameter("hash", "`blake3:` and 64 hexadecimal digits.", HASH, "path", required=True),
    "id": Parameter("id", "An id that an earlier answer gave.", JOB_ID, "path", required=True),
    "name": Parameter("name", "A node class.", "KSampler", "path", required=True),
    "folder": Parameter("folder", "A folder of models.", "checkpoints", "path", required=True),
}
"""By the name that stands in a route's path; an operation may say more of one by naming it again."""

ASSET = Parameter("id", "An asset's id.", ASSET_ID, "path", required=True)


def whole(name: str, text: str, example: int, *, least: int, most: int | None = None) -> Parameter:
    """Return a query parameter that is a whole number."""
    schema = {"type": "integer", "minimum": least} | ({} if most is None else {"maximum": most})
    return Parameter(name, text, example, schema=schema)


def of(route: Route, operation: Operation) -> list[Parameter]:
    """Return all parameters of a route: those of its path, then its operation's."""
    own = {parameter.name: parameter for parameter in operation.parameters if parameter.place == "path"}
    names = re.findall(r"\{(\w+)\}", route.path)
    return [own.get(name) or PATH[name] for name in names] + [
        parameter for parameter in operation.parameters if parameter.place != "path"
    ]
