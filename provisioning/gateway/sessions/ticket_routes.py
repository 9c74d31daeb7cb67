"""The operation that issues tickets, for requests in which a browser cannot send headers."""

from __future__ import annotations

from urllib.parse import urlencode

from provisioning.gateway.core.http.operation import Access, Answer, Body, Operation, Tag
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.http.request_checks import decoded_path
from provisioning.gateway.core.http.schemas import timestamp
from provisioning.gateway.core.problems import Code
from provisioning.gateway.sessions.schemas import NewTicket, Ticket
from provisioning.gateway.sessions.tickets import PARAMETER, Tickets

TICKET = {"ticket": "cgt_AbC", "url": "/ws?ticket=cgt_AbC", "expires_at": "2026-11-22T08:00:30Z"}


class TicketRoutes:
    """Issues tickets to callers."""

    def __init__(self, tickets: Tickets) -> None:
        self._tickets = tickets

    @Operation(
        method="POST",
        path="/api/gateway/tickets",
        access=Access.ANY,
        tag=Tag.ACCESS,
        summary="Get a ticket",
        text="For requests in which a browser cannot send headers, such as a WebSocket or an EventSource. A ticket "
        "authenticates one GET of the path, with the caller's scopes.",
        body=Body(NewTicket, {"path": "/ws"}, invalid=Code.INVALID_REQUEST),
        answers=(Answer("A ticket: single use, valid for 30 s.", Ticket, TICKET, 201),),
    )
    async def create(self, request: GatewayRequest, body: NewTicket) -> Ticket:
        """Issue a ticket for one GET of one path."""
        text, expires_at = self._tickets.issue(request.who, decoded_path(body.path))
        url = f"{body.path}?{urlencode({PARAMETER: text})}"
        return Ticket(ticket=text, url=url, expires_at=timestamp(expires_at))
