"""What was taken, and what may still be."""

from __future__ import annotations

from typing import TypeVar

from provisioning.gateway.access.allowance import Period
from provisioning.gateway.problems import Code, Problem, fault
from provisioning.gateway.quotas import usage
from provisioning.gateway.services import Services, visible_owner
from provisioning.gateway.web.exchange import Exchange

Choice = TypeVar("Choice")

MAX_EVENTS = 10_000
"""Events in one answer: about 2 MB."""

_FORMS = {"jsonl": (usage.as_jsonl, "application/jsonl"), "csv": (usage.as_csv, "text/csv; charset=utf-8")}


async def show(services: Services, exchange: Exchange) -> None:
    """Sum up the caller's work of the last days, by key and state, and by day or month; an admin's is everybody's."""
    since = services.clock.now_ms() - _whole(exchange, "days", 30, 3650) * usage.DAY_MS
    period = _chosen(exchange, "period", {each.value: each for each in Period}, Period.DAY)
    owner = visible_owner(exchange.who)
    rows = await services.ledger.usage(owner, since)
    periods = await services.accounting.by_period(owner, since, period)
    await exchange.send_json({"since": since, "rows": rows, "period": period.value, "periods": periods})


async def quotas(services: Services, exchange: Exchange) -> None:
    """Answer with every quota that holds for the caller's user and key, what is used of it and what is set aside."""
    actor = exchange.who
    rows = await services.accounting.state(actor)
    await exchange.send_json({"owner": actor.owner, "key_id": actor.key_id, "quotas": rows})


async def export(services: Services, exchange: Exchange) -> None:
    """Answer with usage events, the oldest first, from after the one whose sequence number is given."""
    render, kind = _chosen(exchange, "format", _FORMS, _FORMS["jsonl"])
    limit = _whole(exchange, "limit", 1000, MAX_EVENTS)
    after = _whole(exchange, "after", 0, 2**53, least=0)
    rows = await services.accounting.events(after, limit)
    await exchange.send(200, render(rows), [("content-type", kind)])


def _chosen(exchange: Exchange, name: str, choices: dict[str, Choice], default: Choice) -> Choice:
    given = exchange.query.get(name)
    if given is not None and given not in choices:
        message = f"{name}: {' or '.join(choices)}."
        raise Problem(Code.INVALID_REQUEST, message, members=fault(name, "not one of these"))
    return default if given is None else choices[given]


def _whole(exchange: Exchange, name: str, default: int, most: int, least: int = 1) -> int:
    text = exchange.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 17 and least <= int(text) <= most):
        message = f"{name}: a whole number from {least} to {most}."
        raise Problem(Code.INVALID_REQUEST, message, members=fault(name, "not such a number"))
    return int(text)
