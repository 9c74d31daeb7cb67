"""The operation that serves the OpenAPI document."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from provisioning.gateway.core.http.operation import Access, Answer, Operation, Tag
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.docs.reference import Reference


class ReferenceRoutes:
    """Serves the OpenAPI document."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference

    @Operation(
        method="GET",
        path="/openapi.json",
        access=Access.ANY,
        tag=Tag.GATEWAY,
        summary="Read the OpenAPI document",
        answers=(Answer("The OpenAPI 3.1 document.", dict[str, Any], {"openapi": "3.1.0"}),),
        web=True,
    )
    async def show(self, request: GatewayRequest) -> Response:  # noqa: ARG002 - the form of a handler
        """Answer with the OpenAPI document."""
        return Response(self._reference.json, media_type="application/json")
