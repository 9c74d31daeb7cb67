"""Delete orphans. Made for a schedule: without a terminal it asks nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from components.runpod.api import Client
from components.runpod.plugin.lifecycle.deletion import DeletionTiming
from components.runpod.plugin.lifecycle.deletion_targets import TARGETS
from stacks.cli.account import account_items, ownership
from stacks.cli.account.deletion import delete_all
from stacks.cli.account.ownership import OwnedItem, Ownership, Selection, may_delete
from stacks.cli.checkout import Checkout
from stacks.cli.consent import Consent
from stacks.cli.errors import CliError
from stacks.cli.pulumi import environment, stack_index
from stacks.cli.pulumi.engine import Engine


@dataclass(frozen=True)
class SweepReport:
    """Everything the account holds with its ownership, and the stacks whose state could not be read."""

    owned: list[OwnedItem]
    unreadable: tuple[str, ...] = ()


Inspect = Callable[[], SweepReport]


def run(checkout: Checkout, named: Selection, consent: Consent, timing: DeletionTiming | None = None) -> int:
    """List everything that no state holds, and end what may be ended when somebody agrees.

    Returns:
        0, or 1 when something that was to end is still there. `make doctor` is what fails on a mere find.

    Raises:
        CliError: the API or the backend cannot be asked, or a name means nothing.
    """
    engine = environment.prepared(checkout, os.environ)
    with account_items.environment_client(engine) as client:
        look = partial(_inspect, engine, client)
        report = look()
        refuse_wrong_selection(report.owned, named)
        for line in lines(report, named, act=consent.given):
            print(line, flush=True)
        targets = [owned for owned in report.owned if may_delete(owned, named)]
        agreed = bool(targets) and consent.offer(f"end these {len(targets)}?")
        return _act(client, look, targets, named, timing) if agreed else 0


def _inspect(engine: Engine, client: Client) -> SweepReport:
    """Read the account, then the states: a resource in the first answer is in the states read after it, or in none."""
    items = account_items.list_items(client, {})
    states = stack_index.read_index(engine)
    return SweepReport(ownership.classify_all(items, states), states.unreadable)


def _act(
    client: Client, look: Inspect, targets: list[OwnedItem], named: Selection, timing: DeletionTiming | None
) -> int:
    """End the targets one by one, each only if it still may be."""
    left = []
    order = list(TARGETS)
    for target in sorted(targets, key=lambda owned: order.index(owned.item.type)):
        if any(now.item.id == target.item.id and may_delete(now, named) for now in look().owned):
            left += delete_all(client, [target.item], timing)
        else:
            print(f"left alone: {target.item.label}: it is gone, or a stack uses it now")
    return int(bool(left))


def lines(report: SweepReport, named: Selection, *, act: bool) -> list[str]:
    """Return one line for each resource in no state, with its cost per day and what is done with it; then the sum."""
    loose = [owned for owned in report.owned if owned.ownership is not Ownership.HELD]
    targets = [owned for owned in loose if may_delete(owned, named)]
    verb = "deletes" if act else "would delete"
    messages = [
        f"the state of {name} cannot be read: resources with its mark are skipped" for name in report.unreadable
    ]
    messages += [f"{verb if owned in targets else 'keeps'} {owned.line}" for owned in loose]
    total = sum(owned.item.usd_per_day for owned in targets)
    if not targets:
        outside = f"; {len(loose)} resource(s) are in no state" if loose else ""
        return [*messages, f"no orphans found{outside}"]
    return [*messages, f"{len(targets)} to delete, ${total:.2f}/day" + ("" if act else "; YES=1 deletes them")]


def refuse_wrong_selection(found: list[OwnedItem], named: Selection) -> None:
    """Refuse ids that do not exist or belong to a stack, so that a typing error deletes no pod."""
    if unknown := named.unknown([owned.item.id for owned in found]):
        raise CliError(f"the account holds nothing called {', '.join(unknown)}; `make pods` lists what it holds")
    for owned in found:
        if owned.item.id in named.others | named.volumes and not may_delete(owned, named):
            raise CliError(f"{owned.item.label} is not swept: it {_reason_kept(owned, named)}")


def _reason_kept(owned: OwnedItem, named: Selection) -> str:
    if not named.names(owned.item):
        return f"is a {owned.item.type}; name it in {'VOLUMES' if owned.item.type == 'volume' else 'IDS'}"
    advice = f"; `make destroy ENV={owned.stack}` ends it" if owned.ownership is Ownership.HELD else ""
    return f"{owned.ownership} ({owned.stack}){advice}"
