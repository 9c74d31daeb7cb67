"""The OpenAPI document of the gateway, built at its first use."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import orjson

from provisioning.gateway.core.http.operation import Operation


class Reference:
    """The API reference of operations."""

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        self._operations = operations

    @cached_property
    def document(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        from provisioning.gateway.docs.document import build  # noqa: PLC0415 - imports many models, at the first use

        return build(self._operations)

    @cached_property
    def json(self) -> bytes:
        """Return the OpenAPI document as it is served."""
        return orjson.dumps(self.document)
