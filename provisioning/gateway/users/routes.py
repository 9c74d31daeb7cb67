"""The operations on users."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from provisioning.gateway.admin.audit_context import context_of
from provisioning.gateway.core.http.operation import Answer, Body, Operation, Parameter, Tag
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.http.schemas import PageQuery, page_of
from provisioning.gateway.core.limit_settings import NOTHING
from provisioning.gateway.core.problems import Code
from provisioning.gateway.core.scopes import ROLES, Role, Scope
from provisioning.gateway.users.schemas import NewUser, User, UserChange, UserPage
from provisioning.gateway.users.service import UserService

USER: dict[str, Any] = {
    "name": "discord",
    "role": "member",
    "scopes": sorted(ROLES[Role.MEMBER]),
    "has_password": False,
    "disabled": False,
    "labels": {},
    "limits": NOTHING.model_dump(mode="json") | {"max_queued": 20},
    "created_at": "2026-11-22T08:00:00Z",
}
NAME = Parameter("name", "A user's name.", "discord", "path", required=True)


class UserRoutes:
    """Lets admins manage users."""

    def __init__(self, users: UserService) -> None:
        self._users = users

    @Operation(
        method="POST",
        path="/api/gateway/users",
        access=Scope.ADMIN,
        tag=Tag.ACCESS,
        summary="Create a user",
        text="Keys that name the user as owner share its jobs, files and limits; its role limits their scopes.",
        body=Body(
            NewUser,
            {"name": "discord", "role": "member", "limits": {"max_queued": 20}},
            invalid=Code.INVALID_REQUEST,
        ),
        answers=(Answer("The user.", User, USER, 201),),
        problems=(Code.STATE_CONFLICT,),
    )
    async def create(self, request: GatewayRequest, body: NewUser) -> User:
        """Create a user."""
        return User.of(await self._users.create(context_of(request), body))

    @Operation(
        method="GET",
        path="/api/gateway/users",
        access=Scope.ADMIN,
        tag=Tag.ACCESS,
        summary="List users",
        query=PageQuery,
        answers=(Answer("A page of users, newest first.", UserPage, {"items": [USER], "next_cursor": None}),),
    )
    async def list(self, request: GatewayRequest, query: PageQuery) -> UserPage:  # noqa: ARG002 - the form of a handler
        """List users, newest first."""
        chosen, cursor = page_of([(user.name, user) for user in await self._users.list()], query)
        return UserPage(items=[User.of(user) for user in chosen], next_cursor=cursor)

    @Operation(
        method="GET",
        path="/api/gateway/users/{name}",
        access=Scope.ADMIN,
        tag=Tag.ACCESS,
        summary="Show a user",
        parameters=(NAME,),
        answers=(Answer("The user.", User, USER),),
    )
    async def show(self, request: GatewayRequest) -> User:
        """Show one user."""
        return User.of(await self._users.show(request.path_params["name"]))

    @Operation(
        method="PATCH",
        path="/api/gateway/users/{name}",
        access=Scope.ADMIN,
        tag=Tag.ACCESS,
        summary="Change or disable a user",
        text="Fields that are left out do not change. Disabling a user ends its sessions and refuses its keys; "
        "enabling it accepts the keys again. You cannot change your own role or disable yourself.",
        parameters=(NAME,),
        body=Body(UserChange, {"disabled": True}, invalid=Code.INVALID_REQUEST),
        answers=(Answer("The changed user; the change takes effect at once.", User, {**USER, "disabled": True}),),
        problems=(Code.STATE_CONFLICT,),
    )
    async def update(self, request: GatewayRequest, body: UserChange) -> User:
        """Change a user's role, password, labels or limits, or disable the user."""
        return User.of(await self._users.update(context_of(request), request.path_params["name"], body))

    @Operation(
        method="DELETE",
        path="/api/gateway/users/{name}",
        access=Scope.ADMIN,
        tag=Tag.ACCESS,
        summary="Delete a user",
        text="Its jobs, files and usage stay. Its name cannot be used again.",
        parameters=(NAME,),
        answers=(
            Answer("The user is deleted, its sessions have ended and its keys are revoked.", status=204, media=None),
        ),
        problems=(Code.STATE_CONFLICT,),
    )
    async def delete(self, request: GatewayRequest) -> Response:
        """Delete a user, end its sessions and revoke its keys; its jobs, files and usage stay."""
        await self._users.delete(context_of(request), request.path_params["name"])
        return Response(status_code=204)
