"""The gateway's description of itself, for machines and for people."""

from __future__ import annotations

from provisioning.gateway.pages import site
from provisioning.gateway.problems import CATALOGUE, Code, Problem
from provisioning.gateway.services import Services
from provisioning.gateway.v2.documents import base_url
from provisioning.gateway.web.exchange import Exchange


async def openapi(services: Services, exchange: Exchange) -> None:
    """Answer with the OpenAPI document."""
    await exchange.send(200, services.reference.json, [("content-type", "application/json")])


async def guide(services: Services, exchange: Exchange) -> None:
    """Answer with the guide for people."""
    await exchange.send(200, services.site.guide(base_url(exchange)), site.HEADERS)


async def routes(services: Services, exchange: Exchange) -> None:
    """Answer with the page of every route."""
    await exchange.send(200, services.site.reference(base_url(exchange)), site.HEADERS)


async def errors(services: Services, exchange: Exchange) -> None:
    """Answer with the error catalogue."""
    await exchange.send(200, services.site.errors(), site.HEADERS)


async def options(services: Services, exchange: Exchange) -> None:
    """Answer with the page of what an operator may set."""
    await exchange.send(200, services.site.options(), site.HEADERS)


async def error(services: Services, exchange: Exchange) -> None:
    """Explain an error code, as a page to browsers and as JSON to programs."""
    try:
        code = Code(exchange.params["code"])
    except ValueError:
        raise Problem(Code.NOT_FOUND) from None
    exchange.extra_headers.append(("vary", "accept"))
    if wants_page(exchange.header("accept") or ""):
        await exchange.send(200, services.site.error(code), site.HEADERS)
        return
    entry = CATALOGUE[code]
    await exchange.send_json({"code": code.value, "status": entry.status, "title": entry.title, "detail": entry.detail})


def wants_page(accept: str) -> bool:
    """Return whether an Accept header asks for HTML before JSON; `*/*` alone does not."""
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    pages = [kinds.index(kind) for kind in ("text/html", "application/xhtml+xml") if kind in kinds]
    programs = [kinds.index(kind) for kind in ("application/json", "application/problem+json") if kind in kinds]
    return bool(pages) and (not programs or min(pages) < min(programs))
