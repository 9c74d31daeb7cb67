"""What the gateway tells of itself, made once when it is first asked for."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from provisioning.gateway.route import Route


class Reference:
    """The reference of some routes."""

    def __init__(self, routes: tuple[Route, ...]) -> None:
        self._routes = routes

    @cached_property
    def document(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        from provisioning.gateway.openapi.document import build  # noqa: PLC0415 - many models, which few ever ask for

        return build(self._routes)

    @cached_property
    def json(self) -> bytes:
        """Return the OpenAPI document as it is served."""
        return orjson.dumps(self.document)
