"""End an environment and prove that nothing of it bills any more."""

from __future__ import annotations

import os
from collections.abc import Iterable

from components.cost import HOURS_PER_MONTH
from stacks.cli import account, emulator, environment, stack
from stacks.cli.account import Item
from stacks.cli.engine import INTERRUPTED
from stacks.cli.place import Place

_ROUNDS = 2


def run(place: Place) -> int:
    """Destroy, look, and once more if needed. 0 only when nothing of the stack bills but a volume kept on purpose."""
    engine = environment.prepared(place, os.environ)
    emulator.start(place)
    stack.prepare(engine)
    marks = stack.instance_ids(stack.deployment(engine))
    for _ in range(_ROUNDS):
        code = engine.follow("destroy", "--yes", "--skip-preview")
        if code == INTERRUPTED:
            return code
        left = [item for item in account.items(engine) if item.instance in marks]
        if code == 0 and not billing(left, keep_volumes=_keeps_volumes(place)):
            break
    else:
        _report_failure(left)
        return code or 1
    print(receipt(place.env, left))
    return 0


def billing(left: Iterable[Item], *, keep_volumes: bool) -> list[Item]:
    """What is left and should not be."""
    return [item for item in left if not (keep_volumes and item.type == "volume")]


def receipt(env: str, left: Iterable[Item]) -> str:
    """What the account still pays for this environment."""
    kept = [
        f"  kept: volume {item.id} ({item.name}), ${item.usdPerHour * HOURS_PER_MONTH:.2f} per month until deleted"
        for item in left
    ]
    return "\n".join([f"{env} is gone; the account lists nothing of it that bills.", *kept] if not kept else
                     [f"{env} is gone but for what volume.keep asked for:", *kept])  # fmt: skip


def _keeps_volumes(place: Place) -> bool:
    volume = (place.stack_yaml().get("config") or {}).get("comfyui-runpod:volume") or {}
    return isinstance(volume, dict) and volume.get("keep") is True


def _report_failure(left: Iterable[Item]) -> None:
    print("destroy did not end everything; still there:")
    for item in left:
        print(f"  {item.type} {item.id} ({item.name}, {item.status}): ${item.usdPerHour:.4f} per hour")
    print("run the same command again; `make pods` lists what the account holds")
