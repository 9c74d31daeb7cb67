"""Managing users, and what admins did."""

from __future__ import annotations

from typing import Any

from provisioning.gateway.access.allowance import NOTHING
from provisioning.gateway.access.documents import AuditPage, User, UserPage
from provisioning.gateway.access.orders import NewUser, UserChange
from provisioning.gateway.access.scopes import ROLES, Role
from provisioning.gateway.openapi.operation import Answer, Body, Operation, Parameter, Tag
from provisioning.gateway.openapi.tables.keys import PAGING
from provisioning.gateway.problems import Code

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
ACT = {
    "id": 17,
    "at": "2026-11-22T10:00:00Z",
    "actor": "admin",
    "key_id": "9aBcD3fG",
    "act": "key.revoked",
    "target": "4fPq9sZ1",
    "address": "203.0.113.9",
    "request_id": f"req_{'0f' * 16}",
    "detail": {"name": "discord bot"},
}
NAME = Parameter("name", "A user's name.", "discord", "path", required=True)

TABLE = {
    "POST /api/gateway/users": Operation(
        Tag.ACCESS,
        "Make a user",
        (Answer("The user.", User, USER, 201),),
        "Keys that name it as owner share its jobs, files and limits, and can do no more than its role.",
        body=Body(NewUser, {"name": "discord", "role": "member", "limits": {"max_queued": 20}}),
        problems=(Code.STATE_CONFLICT,),
    ),
    "GET /api/gateway/users": Operation(
        Tag.ACCESS,
        "List users",
        (Answer("Newest first.", UserPage, {"items": [USER], "next_cursor": None}),),
        parameters=PAGING,
    ),
    "GET /api/gateway/users/{name}": Operation(
        Tag.ACCESS, "Show a user", (Answer("The user.", User, USER),), parameters=(NAME,)
    ),
    "PATCH /api/gateway/users/{name}": Operation(
        Tag.ACCESS,
        "Change or disable a user",
        (Answer("The user as it is now, at once and everywhere.", User, {**USER, "disabled": True}),),
        "What is left out stays. Disabling ends its logins and stops its keys; enabling brings the keys back. Nobody "
        "changes their own role or disables themselves.",
        (NAME,),
        Body(UserChange, {"disabled": True}),
        (Code.STATE_CONFLICT,),
    ),
    "DELETE /api/gateway/users/{name}": Operation(
        Tag.ACCESS,
        "End a user",
        (Answer("Its logins and keys are dead.", status=204, media=None),),
        "Its jobs, files and usage stay, and its name is given to nobody else.",
        (NAME,),
        problems=(Code.STATE_CONFLICT,),
    ),
    "GET /api/gateway/audit": Operation(
        Tag.ACCESS,
        "Read what admins did",
        (Answer("Newest first.", AuditPage, {"items": [ACT], "next_cursor": None}),),
        "Written in the transaction of each act; the database refuses to change or delete a line.",
        (
            PAGING[0],
            Parameter("cursor", "`next_cursor` of the page before.", "17"),
            Parameter("target", "About this key, user or login alone.", "4fPq9sZ1"),
        ),
    ),
}
