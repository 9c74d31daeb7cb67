"""End what bills and belongs to nobody any more. Made for a schedule: where there is no terminal it asks nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from components.runpod.api import Client
from components.runpod.plugin.ending import TARGETS
from stacks.cli import account, environment, known, standing
from stacks.cli.consent import Consent
from stacks.cli.ending import end_all
from stacks.cli.engine import Engine
from stacks.cli.errors import CliError
from stacks.cli.place import Place
from stacks.cli.standing import Judged, Named, Standing, may_end


@dataclass(frozen=True)
class Survey:
    """Everything the account holds, judged, and the stacks whose state could not be read."""

    judged: list[Judged]
    unreadable: tuple[str, ...] = ()


Look = Callable[[], Survey]


def run(place: Place, named: Named, consent: Consent) -> int:
    """List everything that no state holds, and end what may be ended when somebody agrees.

    Returns:
        0, or 1 when something that was to end is still there. `make doctor` is what fails on a mere find.

    Raises:
        CliError: the API or the backend cannot be asked, or a name means nothing.
    """
    engine = environment.prepared(place, os.environ)
    with account.api(engine) as client:
        look = partial(_survey, engine, client)
        survey = look()
        check(survey.judged, named)
        for line in lines(survey, named, act=consent.given):
            print(line, flush=True)
        targets = [judged for judged in survey.judged if may_end(judged, named)]
        agreed = bool(targets) and consent.offer(f"end these {len(targets)}?")
        return _act(client, look, targets, named) if agreed else 0


def _survey(engine: Engine, client: Client) -> Survey:
    """Look at both sides anew, the account first: what it shows then is in the state read after it, or in none."""
    items = account.look(client, {})
    states = known.read(engine)
    return Survey(standing.judge_all(items, states), states.unreadable)


def _act(client: Client, look: Look, targets: list[Judged], named: Named) -> int:
    """End the targets one by one, each only if it still may be."""
    left = []
    order = list(TARGETS)
    for target in sorted(targets, key=lambda judged: order.index(judged.item.type)):
        if any(now.item.id == target.item.id and may_end(now, named) for now in look().judged):
            left += end_all(client, [target.item])
        else:
            print(f"left alone: {target.item.label}: it is gone, or a stack has taken it up since")
    return int(bool(left))


def lines(survey: Survey, named: Named, *, act: bool) -> list[str]:
    """One line for everything that no state holds, with $/day and what becomes of it; a last one with the sum."""
    loose = [judged for judged in survey.judged if judged.standing is not Standing.HELD]
    targets = [judged for judged in loose if may_end(judged, named)]
    verb = "ends" if act else "would end"
    told = [f"the state of {name} cannot be read: what carries its mark is left" for name in survey.unreadable]
    told += [f"{verb if judged in targets else 'leaves'} {judged.line}" for judged in loose]
    total = sum(judged.item.usd_per_day for judged in targets)
    if not targets:
        return [*told, f"nothing to end; {len(loose)} thing(s) outside of all states"]
    return [*told, f"{len(targets)} to end, ${total:.2f}/day" + ("" if act else "; YES=1 ends them")]


def check(found: list[Judged], named: Named) -> None:
    """Refuse names of nothing and of things that a stack has: a slip of the hand must not cost a pod."""
    if unknown := named.unknown([judged.item.id for judged in found]):
        raise CliError(f"the account holds nothing called {', '.join(unknown)}; `make pods` lists what it holds")
    for judged in found:
        if judged.item.id in named.others | named.volumes and not may_end(judged, named):
            raise CliError(f"{judged.item.label} is not swept: it {_why_not(judged, named)}")


def _why_not(judged: Judged, named: Named) -> str:
    if not named.names(judged.item):
        return f"is a {judged.item.type}; name it in {'VOLUMES' if judged.item.type == 'volume' else 'IDS'}"
    advice = f"; `make destroy ENV={judged.stack}` ends it" if judged.standing is Standing.HELD else ""
    return f"{judged.standing} ({judged.stack}){advice}"
