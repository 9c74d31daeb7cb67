"""Which requests reach a handler: host, credential, limits, origin and scope, in this order."""

from __future__ import annotations

import contextlib

from starlette.types import Scope

from provisioning.gateway.auth.authentication import is_signed
from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.http import request_checks
from provisioning.gateway.core.http.operation import HEADER_ONLY, CredentialPolicy, Operation, RateClass
from provisioning.gateway.core.http.request import GatewayRequest, GatewaySocket
from provisioning.gateway.core.http.socket_route import SocketOperation
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.services import Services

ANYWHERE: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
"""The place of a request that takes none."""


class Admission:
    """Checks requests and WebSockets; every method raises Problem for one that is refused."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def admit(
        self, request: GatewayRequest, operation: Operation | None
    ) -> contextlib.AbstractContextManager[None]:
        """Check host and credential and count the request; returns the caller's place, to be held meanwhile.

        Without an operation every credential is asked for: a client without a key must not learn which paths exist.
        """
        scope, services = request.scope, self._services
        is_public = operation is not None and operation.is_public
        request_checks.check_host(scope, services.settings, public=is_public)
        if not is_public:
            services.handover.check()
        if operation is not None and not operation.needs_key:
            return ANYWHERE
        request.context.is_page = operation is not None and operation.web and _is_navigation(request)
        credentials = operation.credentials if operation else HEADER_ONLY
        request.context.actor = await self._authenticate(scope, credentials)
        place = services.limits.admit(request, operation.rate if operation else RateClass.PLAIN)
        if operation is not None and operation.signed and is_signed(scope):
            # A signed address is made to be passed on; its holder may embed the picture in a page.
            request.context.headers.append(("cross-origin-resource-policy", "cross-origin"))
        return place

    def check(self, request: GatewayRequest, operation: Operation) -> None:
        """Check what the operation asks of a caller that was admitted, and read the query."""
        scope, services = request.scope, self._services
        is_safe = request.method in request_checks.SAFE_METHODS
        request.context.route = operation.path
        request_checks.check_origin(scope, services.settings, safe=is_safe)
        if not is_safe:
            services.ledger.database.check()
        if operation.scope is not None:
            request_checks.check_scope(request.who, operation.scope)
        request.context.query = request_checks.read_query(scope)

    async def admit_socket(self, socket: GatewaySocket, operation: SocketOperation | None) -> None:
        """Check a WebSocket as a request that changes something."""
        scope, services = socket.scope, self._services
        request_checks.check_host(scope, services.settings, public=False)
        socket.context.actor = await self._authenticate(scope, operation.credentials if operation else HEADER_ONLY)
        services.limits.admit(socket, RateClass.PLAIN)
        if operation is None:
            raise Problem(Code.NOT_FOUND)
        socket.context.route = operation.path
        request_checks.check_scope(socket.who, operation.scope)
        request_checks.check_origin(scope, services.settings, safe=False)
        services.lifecycle.check_accepting()
        socket.context.query = request_checks.read_query(scope)

    async def _authenticate(self, scope: Scope, credentials: CredentialPolicy) -> Actor:
        try:
            return await self._services.authenticator.authenticate(scope, scope["path"], credentials)
        except Problem as problem:
            self._services.limits.failed(scope, problem)
            raise


def _is_navigation(request: GatewayRequest) -> bool:
    """Return whether a browser wants to show the answer to a person."""
    return request.method == "GET" and "text/html" in (request.header("accept") or "")
