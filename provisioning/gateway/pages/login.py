"""The login page for the web pages, with name and password or with a key."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

from starlette.responses import RedirectResponse, Response

from provisioning.gateway.accounts.store import KeyStore
from provisioning.gateway.admin.audit_context import context_of
from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.http.operation import HTML, PLAIN_FORM, Access, Answer, Body, Operation, Parameter, Tag
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.http.request_checks import peer
from provisioning.gateway.core.passwords import MAX_LENGTH
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.limits.policies import RequestLimits
from provisioning.gateway.pages import templating
from provisioning.gateway.sessions import cookies
from provisioning.gateway.sessions.service import NewSession, SessionService

PATH = "/login"
MAX_FORM_BYTES = 8 * 1024
FORM_PAGE = "<!doctype html><title>Log in to ComfyUI gateway</title>"
NEXT = Parameter("next", "The page to open after the login.", "/login")

STYLE = templating.style_sheet("login.css")

HEADERS = {
    **templating.headers(STYLE, "'self'"),
    # With no-referrer, browsers would send "null" as the origin of this page's forms.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}

_TITLE = "ComfyUI gateway"
_NEXT = re.compile(r"/(?![/\\])[A-Za-z0-9._~!$&'()*+,=:@%/?-]{0,512}", re.ASCII)
"""A path on this host; a path that begins with two slashes, or a slash and a backslash, would name another host."""


class LoginRoutes:
    """Lets people log in to the web pages and log out."""

    def __init__(
        self,
        keys: KeyStore,
        sessions: SessionService,
        limits: RequestLimits,
        clock: Clock,
        pages: Mapping[str, Scope | None],
    ) -> None:
        """`pages`: the paths of the web pages, each with the scope it needs."""
        self._keys = keys
        self._sessions = sessions
        self._limits = limits
        self._clock = clock
        self._pages = pages

    @Operation(
        method="GET",
        path="/login",
        access=Access.LOGIN,
        tag=Tag.ACCESS,
        summary="Show the login form",
        text="For browsers. A session is accepted for web pages only, not for the API.",
        parameters=(NEXT,),
        answers=(Answer("The form, or the name of the logged-in user.", example=FORM_PAGE, media=HTML),),
    )
    async def show(self, request: GatewayRequest) -> Response:
        """Show the form, or to a logged-in user the list of pages."""
        secret = cookies.read(request.scope)
        if secret is not None:
            with contextlib.suppress(Problem):
                actor = await self._sessions.find(secret)
                return Response(_welcome(actor, self._pages), headers=HEADERS)
        return _form(200, _next(request.query))

    @Operation(
        method="POST",
        path="/login",
        access=Access.LOGIN,
        tag=Tag.ACCESS,
        summary="Log in to the web pages",
        text="With `user` and `password`, or only with `key`. Forms from other sites are refused.",
        body=Body(dict[str, str], {"user": "ada", "password": "a long enough one", "next": "/login"}, PLAIN_FORM),
        answers=(
            Answer("Sets the cookie and redirects the browser.", status=303, media=None),
            Answer("The form with an error message.", status=401, example=FORM_PAGE, media=HTML),
            Answer("The form; wait for the seconds in Retry-After.", status=429, example=FORM_PAGE, media=HTML),
            Answer("The form; try again shortly.", status=503, example=FORM_PAGE, media=HTML),
        ),
        problems=(Code.UNSUPPORTED_MEDIA_TYPE,),
    )
    async def log_in(self, request: GatewayRequest) -> Response:
        """Open a session and redirect to the requested page; raises Problem for a form from another site."""
        if request.header("origin") is None:
            # Another site must not log its visitors in with credentials of its own (login CSRF).
            text = "This form is for browsers, which send Origin; programs log in with POST /api/gateway/login."
            raise Problem(Code.ORIGIN_NOT_ALLOWED, text)
        form = await _read(request)
        try:
            opened = await self._open(request, form)
        except Problem as problem:
            return _form(problem.entry.status, _next(form), problem)
        seconds = (opened.session.expires_at - self._clock.now_ms()) // 1000
        return _redirect(_next(form), cookies.set_cookie(request.scope, opened.secret, seconds))

    @Operation(
        method="POST",
        path="/logout",
        access=Access.ANY,
        tag=Tag.ACCESS,
        summary="Log out of the web pages",
        answers=(Answer("The session has ended.", status=303, media=None),),
        problems=(Code.NO_SESSION,),
        web=True,
    )
    async def log_out(self, request: GatewayRequest) -> Response:
        """End the session and delete the cookie."""
        await self._sessions.end(context_of(request))
        return _redirect(PATH, cookies.set_cookie(request.scope, "", 0))

    async def _open(self, request: GatewayRequest, form: Mapping[str, str]) -> NewSession:
        address, request_id = peer(request.scope), request.request_id
        if key := form.get("key", "").strip():
            try:
                self._limits.login((await self._keys.find(key)).key_id)
                return await self._sessions.open_key(key, address, request_id)
            except Problem as problem:
                self._limits.failed(request.scope, problem)
                raise
        user, password = form.get("user", "").strip(), form.get("password", "")
        if len(user) > 64 or len(password) > MAX_LENGTH:
            raise Problem(Code.INVALID_LOGIN)
        with self._limits.attempt(request.scope, user):
            return await self._sessions.open_person(user, password, address, request_id)


def address(wanted: str) -> str:
    """Return the URL of the form that redirects to a page, if the form accepts that page."""
    return f"{PATH}?{urlencode({'next': wanted})}" if _NEXT.fullmatch(wanted) else PATH


async def _read(request: GatewayRequest) -> dict[str, str]:
    kind = (request.header("content-type") or "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Problem(Code.UNSUPPORTED_MEDIA_TYPE, "Send the form as application/x-www-form-urlencoded.")
    request.body_limit = MAX_FORM_BYTES
    text = await request.body()
    try:
        return dict(parse_qsl(text.decode(), keep_blank_values=True, max_num_fields=10, errors="strict"))
    except ValueError as error:
        raise Problem(Code.INVALID_REQUEST, "The form is malformed.") from error


def _next(form: Mapping[str, str]) -> str:
    wanted = form.get("next", PATH)
    return wanted if _NEXT.fullmatch(wanted) else PATH


def _form(status: int, wanted: str, problem: Problem | None = None) -> Response:
    """Return the form, with what was wrong, and how long to wait."""
    message = problem.detail if problem else None
    page = templating.render("login.html", STYLE, title=f"Log in to {_TITLE}", next=wanted, problem=message)
    waits = {name: value for name, value in problem.headers() if name == "retry-after"} if problem else {}
    return Response(page, status, headers={**HEADERS, **waits})


def _welcome(actor: Actor, others: Mapping[str, Scope | None]) -> bytes:
    paths = [path for path, scope in others.items() if scope is None or scope in actor.scopes]
    return templating.render("welcome.html", STYLE, title=_TITLE, name=actor.name, paths=paths)


def _redirect(where: str, cookie: tuple[str, str]) -> Response:
    """Redirect the browser to another path on this host, by GET, with a cookie."""
    return RedirectResponse(where, 303, headers=dict([cookie]))
