"""The operations of callers on their own account."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from provisioning.gateway.admin.audit_context import context_of
from provisioning.gateway.core.http.operation import Access, Answer, Body, Operation, Tag
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.limit_settings import NOTHING
from provisioning.gateway.core.problems import Code
from provisioning.gateway.limits.policies import RequestLimits
from provisioning.gateway.users.schemas import Me, PasswordChange
from provisioning.gateway.users.service import UserService

ME: dict[str, Any] = {
    "key_id": "4fPq9sZ1",
    "name": "discord bot",
    "owner": "discord",
    "scopes": ["assets", "jobs", "read"],
    "is_person": False,
    "expires_at": None,
    "limits": NOTHING.model_dump(mode="json") | {"requests_per_minute": 300},
    "user_limits": NOTHING.model_dump(mode="json") | {"requests_per_minute": 600, "max_queued": 100},
}


class AccountRoutes:
    """Shows callers their scopes and limits, and lets people change their passwords."""

    def __init__(self, users: UserService, limits: RequestLimits) -> None:
        self._users = users
        self._limits = limits

    @Operation(
        method="GET",
        path="/api/gateway/me",
        access=Access.ANY,
        tag=Tag.ACCESS,
        summary="Show the caller",
        answers=(Answer("The caller, its scopes and limits.", Me, ME),),
    )
    async def me(self, request: GatewayRequest) -> Me:
        """Show the caller, its scopes and its limits."""
        found = self._limits.of(request.who)
        return Me.of(request.who, found.key, found.user)

    @Operation(
        method="POST",
        path="/api/gateway/me/password",
        access=Access.ANY,
        tag=Tag.ACCESS,
        summary="Change your password",
        body=Body(
            PasswordChange, {"current": "a long enough one", "new": "another long one"}, invalid=Code.INVALID_REQUEST
        ),
        answers=(Answer("The password is changed; all earlier sessions have ended.", status=204, media=None),),
        problems=(Code.INVALID_LOGIN,),
    )
    async def set_password(self, request: GatewayRequest, body: PasswordChange) -> Response:
        """Change the caller's password, which ends all earlier sessions, the current one included."""
        with self._limits.attempt(request.scope, request.who.owner):
            await self._users.set_own_password(context_of(request), body)
        return Response(status_code=204)
