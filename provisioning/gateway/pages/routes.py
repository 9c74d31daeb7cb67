"""The operations that serve the documentation pages."""

from __future__ import annotations

from starlette.responses import Response

from provisioning.gateway.core.http.base_url import base_url
from provisioning.gateway.core.http.operation import HTML, Access, Answer, Operation, Tag
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.problems import CATALOGUE, Code, Problem
from provisioning.gateway.pages.schemas import ErrorEntry
from provisioning.gateway.pages.site import HEADERS, Site

PAGE = (Answer("A page that works without scripts.", example="<!doctype html>...", media=HTML),)
_LIMITED = CATALOGUE[Code.RATE_LIMITED]
ENTRY = {
    "code": Code.RATE_LIMITED.value,
    "status": _LIMITED.status,
    "title": _LIMITED.title,
    "detail": _LIMITED.detail,
}


class PageRoutes:
    """Serves the guide, the reference, the options and the errors as pages."""

    def __init__(self, site: Site) -> None:
        self._site = site

    @Operation(
        method="GET",
        path="/docs",
        access=Access.ANY,
        tag=Tag.GATEWAY,
        summary="Read the guide",
        text="How to submit jobs, follow them and download outputs, with this gateway's limits.",
        answers=PAGE,
        web=True,
        page=True,
    )
    async def guide(self, request: GatewayRequest) -> Response:
        """Answer with the guide."""
        return Response(self._site.guide(base_url(request)), headers=HEADERS)

    @Operation(
        method="GET",
        path="/docs/reference",
        access=Access.ANY,
        tag=Tag.GATEWAY,
        summary="Read the API reference",
        text="All operations with examples.",
        answers=PAGE,
        web=True,
    )
    async def reference(self, request: GatewayRequest) -> Response:
        """Answer with the API reference."""
        return Response(self._site.reference(base_url(request)), headers=HEADERS)

    @Operation(
        method="GET",
        path="/docs/errors",
        access=Access.ANY,
        tag=Tag.GATEWAY,
        summary="Read the error catalogue",
        text="All error codes with their remedies.",
        answers=PAGE,
        web=True,
    )
    async def errors(self, request: GatewayRequest) -> Response:  # noqa: ARG002 - the form of a handler
        """Answer with the error catalogue."""
        return Response(self._site.errors(), headers=HEADERS)

    @Operation(
        method="GET",
        path="/docs/options",
        access=Access.ANY,
        tag=Tag.GATEWAY,
        summary="Read the operator's options",
        text="All options of the stack file with their defaults.",
        answers=PAGE,
        web=True,
    )
    async def options(self, request: GatewayRequest) -> Response:  # noqa: ARG002 - the form of a handler
        """Answer with the page of the operator's options."""
        return Response(self._site.options(), headers=HEADERS)

    @Operation(
        method="GET",
        path="/errors/{code}",
        access=Access.ANY,
        tag=Tag.GATEWAY,
        summary="Explain an error code",
        answers=(Answer("The explanation.", ErrorEntry, ENTRY, also=HTML),),
        web=True,
    )
    async def error(self, request: GatewayRequest) -> ErrorEntry | Response:
        """Explain an error code, as a page to browsers and as JSON to programs."""
        try:
            code = Code(request.path_params["code"])
        except ValueError:
            raise Problem(Code.NOT_FOUND) from None
        request.context.headers.append(("vary", "accept"))
        if wants_page(request.header("accept") or ""):
            return Response(self._site.error(code), headers=HEADERS)
        entry = CATALOGUE[code]
        return ErrorEntry(code=code.value, status=entry.status, title=entry.title, detail=entry.detail)


def wants_page(accept: str) -> bool:
    """Return whether an Accept header asks for HTML before JSON; `*/*` alone does not."""
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    pages = [kinds.index(kind) for kind in ("text/html", "application/xhtml+xml") if kind in kinds]
    programs = [kinds.index(kind) for kind in ("application/json", "application/problem+json") if kind in kinds]
    return bool(pages) and (not programs or min(pages) < min(programs))
