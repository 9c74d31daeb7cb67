"""Logging in, and what a browser opens without headers."""

from __future__ import annotations

from typing import Any

from provisioning.gateway.access.allowance import NOTHING
from provisioning.gateway.access.documents import Me, SignedAddress, Ticket, Token
from provisioning.gateway.access.orders import Login, PasswordChange, SignatureOrder, TicketOrder
from provisioning.gateway.access.scopes import ROLES, Role
from provisioning.gateway.openapi.operation import HTML, PLAIN_FORM, Answer, Body, Operation, Parameter, Tag
from provisioning.gateway.openapi.parameters import ASSET_ID
from provisioning.gateway.problems import Code

TOKEN = {
    "access_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl",
    "token_type": "Bearer",
    "expires_in": 900,
    "session_expires_at": "2026-11-22T20:00:00Z",
    "user": "ada",
    "role": "operator",
    "scopes": sorted(ROLES[Role.OPERATOR]),
}
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
FORM_PAGE = "<!doctype html><title>Log in to ComfyUI gateway</title>"
FILE = f"/api/v2/assets/{ASSET_ID}/content"
NEXT = Parameter("next", "The page to go on to.", "/login")
_GONE_ON = Answer("The cookie is set; the browser goes on.", status=303, media=None)

TABLE = {
    "GET /login": Operation(
        Tag.ACCESS,
        "Show the login form",
        (Answer("A form, or who is logged in.", example=FORM_PAGE, media=HTML),),
        "For browsers: a session opens web pages, never the API.",
        (NEXT,),
    ),
    "POST /login": Operation(
        Tag.ACCESS,
        "Log in to the web pages",
        (
            _GONE_ON,
            Answer("The form again, with what was wrong.", status=401, example=FORM_PAGE, media=HTML),
            Answer("The form again; wait as long as Retry-After says.", status=429, example=FORM_PAGE, media=HTML),
            Answer("The form again; try in a moment.", status=503, example=FORM_PAGE, media=HTML),
        ),
        "With `user` and `password`, or with `key` alone. Forms of other sites are refused.",
        body=Body(dict[str, str], {"user": "ada", "password": "a long enough one", "next": "/login"}, PLAIN_FORM),
        problems=(Code.UNSUPPORTED_MEDIA_TYPE,),
    ),
    "POST /logout": Operation(
        Tag.ACCESS,
        "Log out of the web pages",
        (Answer("The session is over.", status=303, media=None),),
        problems=(Code.NO_SESSION,),
    ),
    "POST /api/gateway/login": Operation(
        Tag.ACCESS,
        "Log in",
        (Answer("A token for `Authorization: Bearer`.", Token, TOKEN),),
        "The token lives 15 minutes and is renewed while the login lasts. Wrong passwords are slowed, by user and "
        "by address.",
        body=Body(Login, {"user": "ada", "password": "a long enough one"}),
        problems=(Code.INVALID_LOGIN, Code.CONCURRENCY_LIMITED),
    ),
    "POST /api/gateway/refresh": Operation(
        Tag.ACCESS, "Renew a token", (Answer("Another token of the same login.", Token, TOKEN),),
        problems=(Code.NO_SESSION,),
    ),
    "POST /api/gateway/logout": Operation(
        Tag.ACCESS, "Log out", (Answer("The login is over, with every token of it.", status=204, media=None),),
        problems=(Code.NO_SESSION,),
    ),
    "GET /api/gateway/me": Operation(
        Tag.ACCESS, "Ask who one is", (Answer("The caller, its scopes and limits.", Me, ME),)
    ),
    "POST /api/gateway/me/password": Operation(
        Tag.ACCESS,
        "Change one's own password",
        (Answer("It is changed, and every login of before is over.", status=204, media=None),),
        body=Body(PasswordChange, {"current": "a long enough one", "new": "another long one"}),
        problems=(Code.INVALID_LOGIN,),
    ),
    "POST /api/gateway/tickets": Operation(
        Tag.ACCESS,
        "Get a ticket",
        (
            Answer(
                "Opens the path once, within 30 s.", Ticket,
                {"ticket": "cgt_AbC", "url": "/ws?ticket=cgt_AbC", "expires_at": "2026-11-22T08:00:30Z"}, 201,
            ),
        ),
        "For what a browser opens without headers, such as a WebSocket or an EventSource. It lets in whoever asked for "
        "it, with the same scopes, to this one path by GET.",
        body=Body(TicketOrder, {"path": "/ws"}),
    ),
    "POST /api/gateway/signed-urls": Operation(
        Tag.ACCESS,
        "Sign the address of a file",
        (
            Answer(
                "Opens that file to whoever has it, for at most an hour.", SignedAddress,
                {
                    "url": f"{FILE}?by=4fPq9sZ1&expires=1795338000&signature=AbC",
                    "expires_at": "2026-11-22T08:05:00Z",
                },
                201,
            ),
        ),
        "For `<img>`, and to hand a picture on. It ends early when the key that signed it does.",
        body=Body(SignatureOrder, {"url": FILE, "seconds": 300}),
    ),
}  # fmt: skip
