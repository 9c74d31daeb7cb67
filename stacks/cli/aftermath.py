"""What a failed `up` says last: at what it failed, what exists now, what that costs, and the ways on."""

from __future__ import annotations

from collections.abc import Iterable

from stacks.cli import holdings, stack
from stacks.cli.account import Item
from stacks.cli.engine import Engine
from stacks.cli.errors import CliError
from stacks.cli.events import Failure

_SHOWN = 3
"""Failures that are told; what follows from the first ones adds nothing."""


def text(engine: Engine, failures: Iterable[Failure], *, interrupted: bool, act: str = "up") -> str:
    """Return the last lines of an `up` or `pause` that failed; RunPod is asked, the state may know less."""
    env = engine.place.env
    began = f"{act} was interrupted" if interrupted else f"{act} failed"
    lines = [f"{began}{_at(list(failures))}"]
    try:
        claimed = holdings.claim(engine, stack.deployment(engine))
        # What only has a name like it may be somebody else's, and `make destroy` would not end it.
        found = [item for item in holdings.look(engine, claimed) if not claimed.resembles(item)]
    except CliError as error:
        return "\n".join([*lines, f"what exists now is not known: {error}", *ways(env)])
    return "\n".join([*lines, *bill(env, found)])


def bill(env: str, found: Iterable[Item]) -> list[str]:
    """Return what exists with what it costs, the sum, and the ways on."""
    listed = [item for item in found if item.usdPerHour or item.type in {"pod", "volume"}]
    if not listed:
        return [f"nothing of {env} exists, and nothing bills; `make up ENV={env}` tries again"]
    told = [f"  {item.label}, ${item.usdPerHour:.4f}/h" for item in listed]
    total = holdings.usd_per_hour(listed)
    return [
        f"of {env} this exists now:",
        *told,
        f"together ${total:.4f}/h (${total * 24:.2f} a day) until:",
        *ways(env),
    ]


def ways(env: str) -> list[str]:
    """Return the commands that go on from here."""
    back = f"  `make pause ENV={env}` ends the pod and keeps the volume"
    return [f"  `make up ENV={env}` goes on from here", back, f"  `make destroy ENV={env}` ends all of it"]


def _at(failures: list[Failure]) -> str:
    told = [f"{failure.name}: {failure.reason}" if failure.name else failure.reason for failure in failures[:_SHOWN]]
    return f" at {'; '.join(told)}" if told else ""
