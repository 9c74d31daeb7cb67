"""The operations by which people log in and out of the API."""

from __future__ import annotations

from starlette.responses import Response

from provisioning.gateway.admin.audit_context import context_of
from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.http.operation import Access, Answer, Body, Operation, Tag
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.http.request_checks import peer
from provisioning.gateway.core.http.schemas import timestamp
from provisioning.gateway.core.problems import Code
from provisioning.gateway.core.scopes import ROLES, Role, least_role
from provisioning.gateway.limits.policies import RequestLimits
from provisioning.gateway.sessions.schemas import Login, Token
from provisioning.gateway.sessions.service import SessionService

TOKEN = {
    "access_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl",
    "token_type": "Bearer",
    "expires_in": 900,
    "session_expires_at": "2026-11-22T20:00:00Z",
    "user": "ada",
    "role": "operator",
    "scopes": sorted(ROLES[Role.OPERATOR]),
}


class SessionRoutes:
    """Lets people log in with a password, renew their tokens and log out."""

    def __init__(self, sessions: SessionService, limits: RequestLimits, clock: Clock) -> None:
        self._sessions = sessions
        self._limits = limits
        self._clock = clock

    @Operation(
        method="POST",
        path="/api/gateway/login",
        access=Access.LOGIN,
        tag=Tag.ACCESS,
        summary="Log in",
        text="The token is valid for 15 minutes and can be renewed during the session. Failed attempts are limited per "
        "user and per address.",
        body=Body(Login, {"user": "ada", "password": "a long enough one"}, invalid=Code.INVALID_REQUEST),
        answers=(Answer("A token for `Authorization: Bearer`.", Token, TOKEN),),
        problems=(Code.INVALID_LOGIN, Code.CONCURRENCY_LIMITED),
    )
    async def login(self, request: GatewayRequest, body: Login) -> Token:
        """Log a person in and answer with a token."""
        with self._limits.attempt(request.scope, body.user):
            opened = await self._sessions.open_person(
                body.user, body.password.get_secret_value(), peer(request.scope), request.request_id
            )
        return await self._token(opened.actor)

    @Operation(
        method="POST",
        path="/api/gateway/refresh",
        access=Access.ANY,
        tag=Tag.ACCESS,
        summary="Renew a token",
        answers=(Answer("A new token of the same session.", Token, TOKEN),),
        problems=(Code.NO_SESSION,),
    )
    async def refresh(self, request: GatewayRequest) -> Token:
        """Answer with a new token of the same session."""
        return await self._token(request.who)

    @Operation(
        method="POST",
        path="/api/gateway/logout",
        access=Access.ANY,
        tag=Tag.ACCESS,
        summary="Log out",
        answers=(Answer("The session has ended, with all its tokens.", status=204, media=None),),
        problems=(Code.NO_SESSION,),
    )
    async def logout(self, request: GatewayRequest) -> Response:
        """End the session, with all its tokens and its cookie."""
        await self._sessions.end(context_of(request))
        return Response(status_code=204)

    async def _token(self, actor: Actor) -> Token:
        token, claims, session = await self._sessions.token(actor)
        return Token(
            access_token=token,
            expires_in=(claims.expires_at - self._clock.now_ms()) // 1000,
            session_expires_at=timestamp(session.expires_at),
            user=claims.user,
            role=least_role(actor.scopes),
            scopes=sorted(actor.scopes),
        )
