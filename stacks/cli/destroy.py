"""End an environment, prove that nothing of it bills any more, and say what it has cost."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from components.cost import HOURS_PER_MONTH
from components.runpod import inventory
from stacks.cli import account, emulator, ending, environment, known, plain, receipt, stack
from stacks.cli.account import Item
from stacks.cli.consent import Consent
from stacks.cli.engine import INTERRUPTED, Engine
from stacks.cli.place import Place
from stacks.cli.receipt import Metered

_ROUNDS = 2


def run(place: Place, consent: Consent) -> int:
    """Destroy, look, and once more if needed. 0 only when nothing of the stack bills but a volume kept on purpose."""
    engine = environment.prepared(place, os.environ)
    consent.require(f"this ends {place.env}", [_loss(place)])
    emulator.start(place)
    stack.prepare(engine)
    state = stack.deployment(engine)
    present = stack.instance_ids(state)
    marks = present | known.past_instances(place.env, engine.environ)
    ran, ahead = _meter(engine, state, present)
    for earlier in range(_ROUNDS):
        if earlier:
            # Destroy believes the key and the address of the last `up`; a revoked key or a moved API ended it.
            engine.follow("refresh", "--yes", "--skip-preview", plain.CURRENT_SETTINGS)
        code = engine.follow("destroy", "--yes", "--skip-preview")
        if code == INTERRUPTED:
            return code
        left = _left(engine, marks)
        if code == 0:
            _end_leftovers(engine, left, present, keep_volumes=keeps_volumes(place))
            left = _left(engine, marks)
        if code == 0 and not billing(left, keep_volumes=keeps_volumes(place)):
            break
    else:
        _print_receipt(engine, ran, datetime.now(UTC) + ahead)
        _report_failure(place.env, left, present)
        return code or 1
    _print_receipt(engine, ran, datetime.now(UTC) + ahead)
    print(verdict(place.env, left))
    if emulator.port(place) is not None:
        print(f"the stand-in for RunPod still runs; `make stop-emulator ENV={place.env}` ends it")
    return 0


def _loss(place: Place) -> str:
    if keeps_volumes(place):
        return "its pod and its keys go; its volume stays and bills on, because volume.keep is set"
    return "its pod, its keys and its volume go: models, uploads, outputs, users, jobs and usage"


def billing(left: Iterable[Item], *, keep_volumes: bool) -> list[Item]:
    """What is left and should not be."""
    return [item for item in left if not (keep_volumes and item.type == "volume")]


def verdict(env: str, left: Iterable[Item]) -> str:
    """What the account still pays for this environment."""
    kept = [
        f"  kept: volume {item.id} ({item.name}), ${item.usdPerHour * HOURS_PER_MONTH:.2f} per month until deleted"
        for item in left
    ]
    return "\n".join([f"{env} is gone; the account lists nothing of it that bills.", *kept] if not kept else
                     [f"{env} is gone but for what volume.keep asked for:", *kept])  # fmt: skip


def _left(engine: Engine, marks: set[str]) -> list[Item]:
    with account.api(engine) as client:
        items = account.look(client, dict.fromkeys(marks, engine.place.env))
    return [item for item in items if item.instance in marks and item.status != "TERMINATED"]


def leftovers(left: Iterable[Item], instances: set[str], *, keep_volumes: bool) -> list[Item]:
    """What to end although the engine is done: all of ours, and volumes of the stack's present instance.

    A volume of an earlier instance was kept on purpose then, so it is named and not deleted.
    """
    return [item for item in left if item.type != "volume" or (item.instance in instances and not keep_volumes)]


def _end_leftovers(engine: Engine, left: Iterable[Item], instances: set[str], *, keep_volumes: bool) -> None:
    targets = leftovers(left, instances, keep_volumes=keep_volumes)
    if targets:
        with account.api(engine) as client:
            ending.end_all(client, targets)


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
    """Whether the stack file asks for the volume to stay."""
    volume = (place.stack_yaml().get("config") or {}).get("comfyui-runpod:volume") or {}
    return isinstance(volume, dict) and volume.get("keep") is True


def _report_failure(env: str, left: Iterable[Item], present: set[str]) -> None:
    print("destroy did not end everything; still there:")
    for item in left:
        kept = item.type == "volume" and item.instance not in present
        advice = (
            f"; an earlier destroy kept it: `make sweep ENV={env} VOLUMES={item.id} YES=1` deletes it" if kept else ""
        )
        print(f"  {item.label}: ${item.usdPerHour:.4f} per hour{advice}")
    print("run the same command again; `make pods` lists what the account holds")
