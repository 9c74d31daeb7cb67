"""Delete an environment, verify that it is no longer billed, and print what it cost."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from components.cost import HOURS_PER_MONTH
from components.runpod import inventory
from stacks.cli.account import account_items, deletion, environment_resources
from stacks.cli.account.account_items import AccountItem
from stacks.cli.account.environment_resources import ResourceMatcher
from stacks.cli.checkout import Checkout
from stacks.cli.commands import emulator
from stacks.cli.consent import Consent
from stacks.cli.errors import CliError
from stacks.cli.pulumi import environment, passthrough, pending_operations, stack, state_locks
from stacks.cli.pulumi.engine import INTERRUPTED, Engine
from stacks.cli.reports import data_loss, ended_pods, receipt
from stacks.cli.reports.receipt import CostItem

_ROUNDS = 2


def run(checkout: Checkout, consent: Consent) -> int:
    """Destroy and verify, twice if needed. Return 0 only when nothing is billed except a volume kept on purpose.

    Raises:
        CliError: Not confirmed, the volume is protected, or the environment is not prepared on this machine.
    """
    engine = environment.prepared(checkout, os.environ)
    emulator.start(checkout)
    state = stack.deployment(engine) if stack.exists(engine) else {}
    refuse_protected(checkout.env, state)
    matcher = environment_resources.matcher_of(engine, state)
    consent.require(
        f"this deletes {checkout.env}", losses(checkout, environment_resources.list_resources(engine, matcher), matcher)
    )
    stack.prepare(engine)
    present = stack.instance_ids(state)
    ran, ahead = meter(engine, state, set(matcher.instances))
    paused = [pod for pod in ended_pods.read(checkout) if pod.id not in {thing.id for thing in ran}]
    began = datetime.now(UTC)
    code, left = _end(pending_operations.with_state_variables(engine, state), matcher, present)
    if code == INTERRUPTED:
        return code
    _print_receipt(engine, [*paused, *ran], datetime.now(UTC) + ahead)
    if code or billing(left, matcher, keep_volumes=keeps_volumes(checkout)):
        _report_failure(checkout.env, [item for item in left if matcher.owns(item)], present)
        return code or 1
    pending_operations.forget(engine, began)
    ended_pods.forget(checkout)
    print(verdict(checkout.env, left, matcher))
    if emulator.port(checkout) is not None:
        print(f"the RunPod stand-in still runs; `make stop-emulator ENV={checkout.env}` stops it")
    return 0


def _end(engine: Engine, matcher: ResourceMatcher, present: set[str]) -> tuple[int, list[AccountItem]]:
    """Destroy, then delete leftovers; return the engine's exit code and what the account holds afterwards."""
    keep = keeps_volumes(engine.checkout)
    for earlier in range(_ROUNDS):
        if earlier:
            # Destroy uses the key and the address of the last `up`, and fails if the key was revoked or the API moved.
            engine.follow("refresh", "--yes", "--skip-preview", passthrough.CURRENT_SETTINGS)
        code = state_locks.run(engine, "destroy", "--yes", "--skip-preview")
        if code == INTERRUPTED:
            return code, []
        left = environment_resources.list_resources(engine, matcher)
        if code == 0:
            targets = leftovers(left, matcher, present, keep_volumes=keep)
            left = _ended(engine, matcher, targets) if targets else left
            if not billing(left, matcher, keep_volumes=keep):
                break
    return code, left


def _ended(engine: Engine, matcher: ResourceMatcher, targets: list[AccountItem]) -> list[AccountItem]:
    with account_items.environment_client(engine) as client:
        deletion.delete_all(client, targets)
    return environment_resources.list_resources(engine, matcher)


def refuse_protected(env: str, state: Mapping[str, Any]) -> None:
    """Raise CliError with a remedy when the engine would delete the pod and then refuse to delete the volume."""
    for item in stack.resources(state, stack.VOLUME):
        if item.get("protect"):
            raise CliError(
                f"the volume {item.get('id')} of {env} is protected, so nothing was deleted. `make pause ENV={env}` "
                "deletes the pod, which costs most, and keeps the volume. To delete everything, set volume.protect to "
                f"false in stacks/Pulumi.{env}.yaml, run `make up ENV={env}`, then `make destroy ENV={env}`"
            )


def losses(checkout: Checkout, found: Iterable[AccountItem], matcher: ResourceMatcher) -> list[str]:
    """Return what is deleted and what stays according to the stack file, with costs."""
    messages = []
    for item in found:
        if matcher.owns(item):
            stays = item.type == "volume" and keeps_volumes(checkout)
            data = ": models, uploads, outputs, users, keys, jobs and usage on it are lost"
            fate = "stays and is still billed" if stays else f"is deleted{data if item.type == 'volume' else ''}"
            messages.append(f"{item.label}, ${item.usdPerHour:.4f}/h: {fate}")
    return [*messages, "the stack's keys are deleted too: a later `make up` creates new ones"]


def billing(left: Iterable[AccountItem], matcher: ResourceMatcher, *, keep_volumes: bool) -> list[AccountItem]:
    """Return resources of the environment that should have been deleted."""
    return [item for item in left if matcher.owns(item) and not (keep_volumes and item.type == "volume")]


def verdict(env: str, left: Iterable[AccountItem], matcher: ResourceMatcher) -> str:
    """Return a text with what is still billed for this environment."""
    lines = [f"  {item.type} {item.id} ({item.name}), {_per_month(item)}: {_why(env, item, matcher)}" for item in left]
    if not lines:
        return f"{env} is deleted; nothing of it is billed any more."
    return "\n".join([f"{env} is deleted; these resources are billed until you delete them:", *lines])


def _per_month(item: AccountItem) -> str:
    return f"${item.usdPerHour * HOURS_PER_MONTH:.2f} per month"


def _why(env: str, item: AccountItem, matcher: ResourceMatcher) -> str:
    delete = f"`make sweep ENV={env} VOLUMES={item.id} YES=1` deletes it"
    if matcher.owns(item):
        return f"kept because of volume.keep; volume.id uses it again; {delete}"
    if matcher.uses(item):
        return "it is set by volume.id, so destroy never deletes it"
    return f"it has the name of {env}: an earlier destroy kept it, or it belongs to another person's {env}; {delete}"


def leftovers(
    left: Iterable[AccountItem], matcher: ResourceMatcher, instances: set[str], *, keep_volumes: bool
) -> list[AccountItem]:
    """Return what to delete after the engine is done: own resources, and volumes of the stack's current instance.

    A volume of an earlier instance was kept on purpose, so it is reported and not deleted.
    """
    own = [item for item in left if matcher.owns(item)]
    return [item for item in own if item.type != "volume" or (item.instance in instances and not keep_volumes)]


def meter(engine: Engine, state: dict[str, object], instances: set[str]) -> tuple[list[CostItem], timedelta]:
    """Return the items that cost something now, and by how much RunPod's clock is ahead of this machine's."""
    if not instances:
        return [], timedelta()
    with account_items.environment_client(engine) as client:
        pods, volumes = client.list_pods(), client.list_network_volumes()
        endpoints = inventory.endpoints(client, priced=False)
    return receipt.meter(pods, volumes, state, instances, endpoints), receipt.clock_lead(pods, datetime.now(UTC))


def _print_receipt(engine: Engine, ran: list[CostItem], now: datetime) -> None:
    with account_items.environment_client(engine) as client:
        print("\n".join(receipt.lines(receipt.add_billed(client, ran), now)), flush=True)


def keeps_volumes(checkout: Checkout) -> bool:
    """Return whether the current stack file keeps the volume."""
    return data_loss.volume_retention(checkout).any


def _report_failure(env: str, left: Iterable[AccountItem], present: set[str]) -> None:
    print("destroy did not delete everything; these resources remain:")
    for item in left:
        kept = item.type == "volume" and item.instance not in present
        advice = (
            f"; an earlier destroy kept it: `make sweep ENV={env} VOLUMES={item.id} YES=1` deletes it" if kept else ""
        )
        print(f"  {item.label}: ${item.usdPerHour:.4f} per hour{advice}")
    print("run the same command again; `make pods` lists the account's resources")
