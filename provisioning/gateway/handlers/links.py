"""The routes that give out tickets and signed addresses, for what a browser opens without headers."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit

from provisioning.gateway.access import admission, documents, orders
from provisioning.gateway.access.door import TICKET
from provisioning.gateway.problems import Code, Problem, fault
from provisioning.gateway.services import Services
from provisioning.gateway.web import body
from provisioning.gateway.web.exchange import Exchange


async def ticket(services: Services, exchange: Exchange) -> None:
    """Give a ticket for one GET of one path."""
    order = await body.read(exchange, orders.TicketOrder)
    text, expires_at = services.reception.tickets.issue(exchange.who, _plain(order.path))
    url = f"{order.path}?{urlencode({TICKET: text})}"
    await body.send(exchange, documents.Ticket(ticket=text, url=url, expires_at=documents.moment(expires_at)), 201)


async def sign(services: Services, exchange: Exchange) -> None:
    """Sign the address of a file."""
    order = await body.read(exchange, orders.SignatureOrder)
    parts = urlsplit(order.url)
    path, pairs = _plain(parts.path), parse_qsl(parts.query, keep_blank_values=True)
    base = f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
    ours = not base or parts.netloc.lower() in services.settings.allowed_hosts | {exchange.header("host")}
    if not ours or not services.takes_signatures(path) or len(dict(pairs)) != len(pairs):
        message = "url: of a file here, such as /api/v2/assets/{id}/content or /view?filename=..., each parameter once."
        raise Problem(Code.INVALID_REQUEST, message, members=fault("/url", "not a file's"))
    signed, expires_at = services.reception.signatures.sign(exchange.who, path, dict(pairs), order.seconds)
    told = documents.SignedAddress(url=base + signed, expires_at=documents.moment(expires_at))
    await body.send(exchange, told, 201)


def _plain(path: str) -> str:
    """Return the decoded path, by which requests are matched; raises Problem."""
    return admission.plain_path({"path": path, "raw_path": path.encode()})
