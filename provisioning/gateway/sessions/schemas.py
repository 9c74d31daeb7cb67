"""Request and response bodies of logins and tickets."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from provisioning.gateway.core.http.schemas import AnswerBody, RequestBody
from provisioning.gateway.core.passwords import AnyPassword
from provisioning.gateway.core.scopes import Role, Scope


class Login(RequestBody):
    """The name and the password of the user who logs in."""

    user: Annotated[str, Field(max_length=64)]
    password: AnyPassword


class Token(AnswerBody):
    """A token of a user who logged in."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the scheme
    expires_in: int
    """Seconds."""
    session_expires_at: datetime
    user: str
    role: Role
    scopes: list[Scope]


class NewTicket(RequestBody):
    """The request that a ticket is for."""

    path: Annotated[str, StringConstraints(pattern=r"^/[^?#\s]{0,1023}$")]
    """The path without the query."""
    method: Literal["GET"] = "GET"


class Ticket(AnswerBody):
    """A ticket."""

    ticket: str
    url: str
    """The URL with the ticket, relative to the gateway's; you may add other parameters."""
    expires_at: datetime
