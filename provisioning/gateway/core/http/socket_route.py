"""A WebSocket, declared once beside its handler as an Operation is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from provisioning.gateway.core.http.operation import HEADER_ONLY, CredentialPolicy, Parameters, Result
from provisioning.gateway.core.scopes import Scope

_DECLARED = "gateway_sockets"
"""The attribute of a handler that holds its WebSockets."""


@dataclass(frozen=True, kw_only=True)
class SocketOperation:
    """One WebSocket."""

    path: str
    """The path under which connections are recorded."""
    also: tuple[str, ...] = ()
    """Other paths at which it is opened."""
    scope: Scope = Scope.READ
    credentials: CredentialPolicy = HEADER_ONLY

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the paths at which it is opened."""
        return (self.path, *self.also)

    def __call__(self, handler: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        """Declare, as a decorator, that a method of a feature's routes serves the WebSocket."""
        setattr(handler, _DECLARED, (self, *getattr(handler, _DECLARED, ())))
        return handler


SocketHandler = Callable[..., Awaitable[None]]
"""Takes the request, the socket, and a check that raises Problem once the caller has lost access."""


class SocketRoute(NamedTuple):
    """A WebSocket with the handler that serves it."""

    operation: SocketOperation
    handler: SocketHandler


def sockets_of(feature: type) -> Iterator[SocketOperation]:
    """Yield the WebSockets that a feature's routes declare."""
    for member in vars(feature).values():
        yield from getattr(member, _DECLARED, ())


def socket_routes_of(feature: object) -> Iterator[tuple[str, SocketRoute]]:
    """Yield every path at which a feature's instance serves a WebSocket, with its route."""
    for name, member in vars(type(feature)).items():
        for declared in getattr(member, _DECLARED, ()):
            for path in declared.paths:
                yield path, SocketRoute(declared, getattr(feature, name))
