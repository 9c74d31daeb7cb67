"""End an environment, prove that nothing of it bills any more, and say what it has cost."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from components.cost import HOURS_PER_MONTH
from components.runpod import inventory
from stacks.cli import account, emulator, ending, environment, holdings, locks, pending, plain, receipt, review, stack
from stacks.cli.account import Item
from stacks.cli.consent import Consent
from stacks.cli.engine import INTERRUPTED, Engine
from stacks.cli.errors import CliError
from stacks.cli.holdings import Claim
from stacks.cli.place import Place
from stacks.cli.receipt import Metered

_ROUNDS = 2


def run(place: Place, consent: Consent) -> int:
    """Destroy, look, and once more if needed. 0 only when nothing of the stack bills but a volume kept on purpose.

    Raises:
        CliError: Nobody agreed, the volume is protected, or the environment is not prepared on this machine.
    """
    engine = environment.prepared(place, os.environ)
    emulator.start(place)
    state = stack.deployment(engine) if stack.exists(engine) else {}
    refuse_protected(place.env, state)
    claimed = holdings.claim(engine, state)
    consent.require(f"this ends {place.env}", losses(place, holdings.look(engine, claimed), claimed))
    stack.prepare(engine)
    present = stack.instance_ids(state)
    ran, ahead = _meter(engine, state, set(claimed.marks))
    began = datetime.now(UTC)
    code, left = _end(pending.told(engine, state), claimed, present)
    if code == INTERRUPTED:
        return code
    _print_receipt(engine, ran, datetime.now(UTC) + ahead)
    if code or billing(left, claimed, keep_volumes=keeps_volumes(place)):
        _report_failure(place.env, [item for item in left if claimed.owns(item)], present)
        return code or 1
    pending.forget(engine, began)
    print(verdict(place.env, left, claimed))
    if emulator.port(place) is not None:
        print(f"the stand-in for RunPod still runs; `make stop-emulator ENV={place.env}` ends it")
    return 0


def _end(engine: Engine, claimed: Claim, present: set[str]) -> tuple[int, list[Item]]:
    """Destroy, then end what is left; return the engine's exit code and what the account holds afterwards."""
    keep = keeps_volumes(engine.place)
    for earlier in range(_ROUNDS):
        if earlier:
            # Destroy believes the key and the address of the last `up`; a revoked key or a moved API ended it.
            engine.follow("refresh", "--yes", "--skip-preview", plain.CURRENT_SETTINGS)
        code = locks.run(engine, "destroy", "--yes", "--skip-preview")
        if code == INTERRUPTED:
            return code, []
        left = holdings.look(engine, claimed)
        if code == 0:
            targets = leftovers(left, claimed, present, keep_volumes=keep)
            left = _ended(engine, claimed, targets) if targets else left
            if not billing(left, claimed, keep_volumes=keep):
                break
    return code, left


def _ended(engine: Engine, claimed: Claim, targets: list[Item]) -> list[Item]:
    with account.api(engine) as client:
        ending.end_all(client, targets)
    return holdings.look(engine, claimed)


def refuse_protected(env: str, state: Mapping[str, Any]) -> None:
    """Raise CliError, with the way, when the engine would refuse to end the volume after it has ended the pod."""
    for item in stack.resources(state, stack.VOLUME):
        if item.get("protect"):
            raise CliError(
                f"the volume {item.get('id')} of {env} is protected, so nothing was ended. `make pause ENV={env}` ends "
                f"what costs most and keeps the volume. To end all of it: set volume.protect to false in "
                f"stacks/Pulumi.{env}.yaml, run `make up ENV={env}`, then `make destroy ENV={env}`"
            )


def losses(place: Place, found: Iterable[Item], claimed: Claim) -> list[str]:
    """Return what goes and what stays, as the stack file says now, with what it costs."""
    told = []
    for item in found:
        if claimed.owns(item):
            stays = item.type == "volume" and keeps_volumes(place)
            data = ": models, uploads, outputs, users, keys, jobs and usage on it are lost"
            fate = "stays and bills on" if stays else f"ends{data if item.type == 'volume' else ''}"
            told.append(f"{item.label}, ${item.usdPerHour:.4f}/h: {fate}")
    return [*told, "the keys of the stack end with it: a later `make up` makes others"]


def billing(left: Iterable[Item], claimed: Claim, *, keep_volumes: bool) -> list[Item]:
    """Return what is left of what was made for it and should not be."""
    return [item for item in left if claimed.owns(item) and not (keep_volumes and item.type == "volume")]


def verdict(env: str, left: Iterable[Item], claimed: Claim) -> str:
    """Return what the account still pays for this environment."""
    lines = [f"  {item.type} {item.id} ({item.name}), {_per_month(item)}: {_why(env, item, claimed)}" for item in left]
    if not lines:
        return f"{env} is gone; the account lists nothing of it that bills."
    return "\n".join([f"{env} is gone; this bills on until somebody deletes it:", *lines])


def _per_month(item: Item) -> str:
    return f"${item.usdPerHour * HOURS_PER_MONTH:.2f} per month"


def _why(env: str, item: Item, claimed: Claim) -> str:
    delete = f"`make sweep ENV={env} VOLUMES={item.id} YES=1` deletes it"
    if claimed.owns(item):
        return f"volume.keep kept it, volume.id takes it up again; {delete}"
    if claimed.uses(item):
        return "volume.id took it, so destroy never ends it"
    return f"it carries the name of {env}: an earlier destroy kept it, or somebody else's {env} has it; {delete}"


def leftovers(left: Iterable[Item], claimed: Claim, instances: set[str], *, keep_volumes: bool) -> list[Item]:
    """Return what to end although the engine is done: all of ours, and volumes of the stack's present instance.

    A volume of an earlier instance was kept on purpose then, so it is named and not deleted.
    """
    own = [item for item in left if claimed.owns(item)]
    return [item for item in own if item.type != "volume" or (item.instance in instances and not keep_volumes)]


def _meter(engine: Engine, state: dict[str, object], marks: set[str]) -> tuple[list[Metered], timedelta]:
    """What runs now, noted before it ends, and how far RunPod's clock is ahead of ours."""
    if not marks:
        return [], timedelta()
    with account.api(engine) as client:
        pods, volumes = client.list_pods(), client.list_network_volumes()
        endpoints = inventory.endpoints(client, priced=False)
    return receipt.meter(pods, volumes, state, marks, endpoints), receipt.ahead(pods, datetime.now(UTC))


def _print_receipt(engine: Engine, ran: list[Metered], now: datetime) -> None:
    with account.api(engine) as client:
        print("\n".join(receipt.lines(receipt.bill(client, ran), now)), flush=True)


def keeps_volumes(place: Place) -> bool:
    """Return whether the stack file, as it is now, asks for the volume to stay."""
    return review.kept(place).any


def _report_failure(env: str, left: Iterable[Item], present: set[str]) -> None:
    print("destroy did not end everything; still there:")
    for item in left:
        kept = item.type == "volume" and item.instance not in present
        advice = (
            f"; an earlier destroy kept it: `make sweep ENV={env} VOLUMES={item.id} YES=1` deletes it" if kept else ""
        )
        print(f"  {item.label}: ${item.usdPerHour:.4f} per hour{advice}")
    print("run the same command again; `make pods` lists what the account holds")
