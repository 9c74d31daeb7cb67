"""The page where people log in for the web pages, by name and password or with a key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

from provisioning.gateway.access import cookies
from provisioning.gateway.access.actor import Actor
from provisioning.gateway.access.admission import peer
from provisioning.gateway.access.passwords import MAX_LENGTH
from provisioning.gateway.access.scopes import Scope
from provisioning.gateway.access.sessions import Opened
from provisioning.gateway.handlers.acting import by
from provisioning.gateway.problems import Code, Problem
from provisioning.gateway.services import Services
from provisioning.gateway.web import pages
from provisioning.gateway.web.exchange import Exchange

PATH = "/login"
MAX_FORM_BYTES = 8 * 1024

_TITLE = "ComfyUI gateway"
_NEXT = re.compile(r"/(?![/\\])[A-Za-z0-9._~!$&'()*+,=:@%/?-]{0,512}", re.ASCII)
"""A path on this host: two slashes, or a slash and a backslash, would name another one."""


async def show(services: Services, exchange: Exchange) -> None:
    """Show the form; to somebody who is logged in, the pages there are."""
    secret = cookies.read(exchange.scope)
    if secret is not None:
        try:
            actor = await services.reception.sessions.find(secret)
        except Problem:
            secret = None
        else:
            await pages.send(exchange, 200, _TITLE, _welcome(actor, services.pages), ())
    if secret is None:
        await _show_form(exchange, 200, _next(exchange.query))


async def log_in(services: Services, exchange: Exchange) -> None:
    """Open a session and go on to the page that was asked for; raises Problem for a form of another site."""
    if exchange.header("origin") is None:
        # Somebody else's page must not log its visitors in under a name of its own.
        text = "This form is for browsers, which send Origin; programs log in at POST /api/gateway/login."
        raise Problem(Code.ORIGIN_NOT_ALLOWED, text)
    form = await _read(exchange)
    try:
        opened = await _open(services, exchange, form)
    except Problem as problem:
        waits = tuple(pair for pair in problem.headers() if pair[0] == "retry-after")
        await _show_form(exchange, problem.entry.status, _next(form), problem, waits)
        return
    seconds = (opened.session.expires_at - services.clock.now_ms()) // 1000
    await pages.redirect(exchange, _next(form), (cookies.written(exchange.scope, opened.secret, seconds),))


async def log_out(services: Services, exchange: Exchange) -> None:
    """End the session and forget the cookie."""
    await services.reception.sessions.end(by(exchange))
    await pages.redirect(exchange, PATH, (cookies.written(exchange.scope, "", 0),))


def address(wanted: str) -> str:
    """Return the address of the form that leads on to a page."""
    return f"{PATH}?{urlencode({'next': wanted})}"


async def _open(services: Services, exchange: Exchange, form: Mapping[str, str]) -> Opened:
    limits, sessions = services.reception.limits, services.reception.sessions
    address, request_id = peer(exchange.scope), exchange.request_id
    if key := form.get("key", "").strip():
        try:
            limits.login((await services.keys.find(key)).key_id)
            return await sessions.open_key(key, address, request_id)
        except Problem as problem:
            limits.failed(exchange.scope, problem)
            raise
    user, password = form.get("user", "").strip(), form.get("password", "")
    if len(user) > 64 or len(password) > MAX_LENGTH:
        raise Problem(Code.INVALID_LOGIN)
    with limits.attempt(exchange.scope, user):
        return await sessions.open_person(user, password, address, request_id)


async def _read(exchange: Exchange) -> dict[str, str]:
    kind = (exchange.header("content-type") or "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Problem(Code.UNSUPPORTED_MEDIA_TYPE, "Send the form as application/x-www-form-urlencoded.")
    text = await exchange.whole(MAX_FORM_BYTES)
    try:
        return dict(parse_qsl(text.decode(), keep_blank_values=True, max_num_fields=10, errors="strict"))
    except ValueError as error:
        raise Problem(Code.INVALID_REQUEST, "The form is malformed.") from error


def _next(form: Mapping[str, str]) -> str:
    wanted = form.get("next", PATH)
    return wanted if _NEXT.fullmatch(wanted) else PATH


async def _show_form(
    exchange: Exchange, status: int, wanted: str, problem: Problem | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> None:  # fmt: skip
    said = f'<p class="problem" role="alert">{pages.escaped(problem.detail)}</p>' if problem else ""
    await pages.send(exchange, status, f"Log in to {_TITLE}", said + _FORM.format(next=pages.escaped(wanted)), headers)


def _welcome(actor: Actor, others: Mapping[str, Scope | None]) -> str:
    own = [pages.escaped(path) for path, scope in others.items() if scope is None or scope in actor.scopes]
    links = "".join(f'<li><a href="{path}">{path}</a></li>' for path in own)
    return (
        f"<p>You are logged in as <strong>{pages.escaped(actor.name)}</strong>.</p><ul>{links}</ul>"
        '<form method="post" action="/logout"><button>Log out</button></form>'
    )


_FORM = """<form method="post" action="/login">
<input type="hidden" name="next" value="{next}">
<label for="user">User</label>
<input id="user" name="user" autocomplete="username" autocapitalize="none" spellcheck="false">
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password">
<h2>or</h2>
<label for="key">API key</label>
<input id="key" name="key" type="password" autocomplete="off">
<button>Log in</button>
</form>"""
