"""Ends things from outside of any stack, and believes nothing but what the API shows afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from components.runpod.api import Client
from components.runpod.api.errors import RunPodError
from components.runpod.plugin import ending
from components.runpod.plugin.ending import TARGETS, Target
from stacks.cli.account import Item


@dataclass(frozen=True)
class Patience:
    """How long to look for an end; replaced in tests."""

    seconds: float = 180.0
    every: float = 1.0
    """Seconds to the second look; each further one waits half as long again, up to `rarest`: calls are limited."""
    rarest: float = 5.0
    ask_again: float = 20.0
    """A volume cannot be deleted while a dying pod still has it, and some deletions are accepted and do nothing."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


BOUND = Patience()
_GROWTH = 1.5


def end_all(client: Client, items: Iterable[Item], patience: Patience | None = None) -> list[Item]:
    """End everything, users before what they use, or it could not be deleted; return what is still there."""
    order = list(TARGETS)
    ordered = sorted(items, key=lambda item: order.index(item.type))
    return [item for item in ordered if not _ended(client, item, patience or BOUND)]


def _ended(client: Client, item: Item, patience: Patience) -> bool:
    """End one thing and say how that went; a refusal of one does not keep the others alive."""
    print(f"ending {item.label}", flush=True)
    target = TARGETS[item.type](client, item.id)
    try:
        refusal = end(target, patience)
    except RunPodError as error:
        refusal = str(error)
    bills = " and bills" if target.bills else ""
    print(f"  it still exists{bills}: {refusal}" if refusal else "  gone", flush=True)
    return not refusal


def end(target: Target, patience: Patience) -> str:
    """Delete and look until it is gone; empty, or why it is still there after the bound."""
    _drain(target, patience)
    started, asked, refusal, pause = patience.clock(), None, "", patience.every
    while True:
        now = patience.clock()
        if asked is None or now - asked >= patience.ask_again:
            refusal, asked = ending.ask(target), now
        if ending.is_gone(target):
            return ""
        if patience.clock() - started >= patience.seconds:
            return refusal or f"RunPod accepted the deletion {patience.seconds:.0f} s ago and did not carry it out"
        patience.sleep(pause)
        pause = min(patience.rarest, pause * _GROWTH)


def _drain(target: Target, patience: Patience) -> None:
    """Let an endpoint's workers finish; what still runs after the bound ends with it."""
    if target.park is None or ending.park(target):
        return
    started = patience.clock()
    while (left := ending.workers_left(target)) and patience.clock() - started < patience.seconds:
        print(f"  waiting for {left} worker(s) to end", flush=True)
        patience.sleep(patience.every)
