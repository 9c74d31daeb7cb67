"""Delete orphans. Suitable for scheduled runs: it does not prompt without a terminal."""

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
from stacks.cli.account.ownership import OwnedItem, Ownership, ResourceSelection, may_delete
from stacks.cli.checkout import Checkout
from stacks.cli.consent import Consent
from stacks.cli.errors import CliError
from stacks.cli.pulumi import environment, stack_index
from stacks.cli.pulumi.engine import Engine


@dataclass(frozen=True)
class SweepReport:
    """The account's resources with their ownership, and the stacks whose state could not be read."""

    owned: list[OwnedItem]
    unreadable: tuple[str, ...] = ()


Inspect = Callable[[], SweepReport]


def run(checkout: Checkout, named: ResourceSelection, consent: Consent, timing: DeletionTiming | None = None) -> int:
    """List all resources that are in no state, and delete the permitted ones after confirmation.

    Returns:
        0, or 1 when a deletion failed. `make doctor` fails when orphans exist.

    Raises:
        CliError: the API or the backend does not answer, or a named id does not exist.
    """
    engine = environment.prepared(checkout, os.environ)
    with account_items.environment_client(engine) as client:
        look = partial(_inspect, engine, client)
        report = look()
        refuse_wrong_selection(report.owned, named)
        for line in lines(report, named, act=consent.given):
            print(line, flush=True)
        targets = [owned for owned in report.owned if may_delete(owned, named)]
        agreed = bool(targets) and consent.offer(f"delete these {len(targets)}?")
        return _act(client, look, targets, named, timing) if agreed else 0


def _inspect(engine: Engine, client: Client) -> SweepReport:
    """Read the account, then the states: a resource in the account is in a state that is read later, or in none."""
    items = account_items.list_items(client, {})
    states = stack_index.read_index(engine)
    return SweepReport(ownership.classify_all(items, states), states.unreadable)


def _act(
    client: Client, look: Inspect, targets: list[OwnedItem], named: ResourceSelection, timing: DeletionTiming | None
) -> int:
    """Delete the targets one by one, after checking again that each may be deleted."""
    left = []
    order = list(TARGETS)
    for target in sorted(targets, key=lambda owned: order.index(owned.item.type)):
        if any(now.item.id == target.item.id and may_delete(now, named) for now in look().owned):
            left += delete_all(client, [target.item], timing)
        else:
            print(f"not deleted: {target.item.label}: it no longer exists, or a stack uses it now")
    return int(bool(left))


def lines(report: SweepReport, named: ResourceSelection, *, act: bool) -> list[str]:
    """Return one line for each resource in no state, with its cost per day and the action; then the sum."""
    loose = [owned for owned in report.owned if owned.ownership is not Ownership.HELD]
    targets = [owned for owned in loose if may_delete(owned, named)]
    verb = "deletes" if act else "would delete"
    messages = [
        f"the state of {name} cannot be read: resources with its marker are skipped" for name in report.unreadable
    ]
    messages += [f"{verb if owned in targets else 'keeps'} {owned.line}" for owned in loose]
    total = sum(owned.item.usd_per_day for owned in targets)
    if not targets:
        outside = f"; {len(loose)} resource(s) are in no state" if loose else ""
        return [*messages, f"no orphans found{outside}"]
    return [*messages, f"{len(targets)} to delete, ${total:.2f}/day" + ("" if act else "; YES=1 deletes them")]


def refuse_wrong_selection(found: list[OwnedItem], named: ResourceSelection) -> None:
    """Refuse ids that do not exist or belong to a stack, so that a typing error does not delete a pod."""
    if unknown := named.unknown([owned.item.id for owned in found]):
        raise CliError(f"the account has no resource {', '.join(unknown)}; `make pods` lists its resources")
    for owned in found:
        if owned.item.id in named.others | named.volumes and not may_delete(owned, named):
            raise CliError(f"{owned.item.label} is not deleted: it {_reason_kept(owned, named)}")


def _reason_kept(owned: OwnedItem, named: ResourceSelection) -> str:
    if not named.names(owned.item):
        return f"is a {owned.item.type}; name it in {'VOLUMES' if owned.item.type == 'volume' else 'IDS'}"
    advice = f"; `make destroy ENV={owned.stack}` deletes it" if owned.ownership is Ownership.HELD else ""
    return f"{owned.ownership} ({owned.stack}){advice}"
