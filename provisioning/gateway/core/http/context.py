"""What the gateway notes about one request, in the request's ASGI scope."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import getrandbits

from starlette.types import Scope

from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.problems import Problem

_CONTEXT = "gateway.context"
"""Its key in the scope."""


def _request_id() -> str:
    # A name and no secret: nothing is opened by it.
    return f"req_{getrandbits(128):032x}"


@dataclass
class RequestContext:
    """The caller, the route and the answer of one request, as far as they are known."""

    idle_seconds: float
    """How long the client may neither send nor read."""
    request_id: str = field(default_factory=_request_id)
    actor: Actor | None = None
    is_page: bool = False
    """Whether a person without a session is shown where to log in."""
    route: str = ""
    """The path that the operation declares."""
    query: dict[str, str] = field(default_factory=dict)
    job_id: str | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    """Headers of the answer, whatever the answer is."""
    status: int = 0
    """0 until the answer has begun."""
    problem: Problem | None = None
    bytes_in: int = 0
    bytes_out: int = 0

    def bind(self, scope: Scope) -> None:
        """Make this the context of a request."""
        scope[_CONTEXT] = self

    @classmethod
    def of(cls, scope: Scope) -> RequestContext:
        """Return the context of a request."""
        context: RequestContext = scope[_CONTEXT]
        return context
