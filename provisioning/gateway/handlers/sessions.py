"""The routes by which people log in for the API, and callers ask who they are."""

from __future__ import annotations

from provisioning.gateway.access import documents, orders
from provisioning.gateway.access.actor import Actor
from provisioning.gateway.access.admission import peer
from provisioning.gateway.access.scopes import least_role
from provisioning.gateway.handlers.acting import by
from provisioning.gateway.problems import Code, Problem
from provisioning.gateway.services import Services
from provisioning.gateway.web import body
from provisioning.gateway.web.exchange import Exchange


async def login(services: Services, exchange: Exchange) -> None:
    """Log a person in and answer with a token."""
    order, reception = await body.read(exchange, orders.Login), services.reception
    with reception.limits.attempt(exchange.scope, order.user):
        opened = await reception.sessions.open_person(
            order.user, order.password.get_secret_value(), peer(exchange.scope), exchange.request_id
        )
    await _send_token(services, exchange, opened.actor)


async def refresh(services: Services, exchange: Exchange) -> None:
    """Answer with a new token for the same login."""
    await _send_token(services, exchange, exchange.who)


async def _send_token(services: Services, exchange: Exchange, actor: Actor) -> None:
    token, claims = await services.reception.sessions.token(actor)
    session = await services.keys.session(claims.session_id)
    if session is None:
        raise Problem(Code.SESSION_ENDED)
    answer = documents.Token(
        access_token=token,
        expires_in=(claims.expires_at - services.clock.now_ms()) // 1000,
        session_expires_at=documents.moment(session.expires_at),
        user=claims.user,
        role=least_role(actor.scopes),
        scopes=sorted(actor.scopes),
    )
    await body.send(exchange, answer)


async def logout(services: Services, exchange: Exchange) -> None:
    """End the login, with every token and cookie of it."""
    await services.reception.sessions.end(by(exchange))
    await exchange.send(204, b"", [])


async def me(services: Services, exchange: Exchange) -> None:
    """Say who the caller is, what it may do, and how much of it."""
    bounds = services.reception.limits.of(exchange.who)
    await body.send(exchange, documents.me(exchange.who, bounds.key, bounds.user))


async def set_password(services: Services, exchange: Exchange) -> None:
    """Change one's own password; every login of before is over, this one too."""
    order, reception = await body.read(exchange, orders.PasswordChange), services.reception
    with reception.limits.attempt(exchange.scope, exchange.who.owner):
        await reception.people.set_own_password(by(exchange), order)
    await exchange.send(204, b"", [])
