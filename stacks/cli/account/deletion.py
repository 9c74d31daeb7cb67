"""Deletes resources without the engine, and verifies each deletion through the API."""

from __future__ import annotations

from collections.abc import Iterable

from components.runpod.api import Client
from components.runpod.api.errors import RunPodError
from components.runpod.plugin.lifecycle import deletion
from components.runpod.plugin.lifecycle.deletion import DeletionTiming
from components.runpod.plugin.lifecycle.deletion_targets import TARGETS, Target
from stacks.cli.account.account_items import AccountItem


def delete_all(client: Client, items: Iterable[AccountItem], timing: DeletionTiming | None = None) -> list[AccountItem]:
    """Delete all items, users before what they use, and return what is still there."""
    order = list(TARGETS)
    ordered = sorted(items, key=lambda item: order.index(item.type))
    return [item for item in ordered if not _ended(client, item, timing or DeletionTiming())]


def _ended(client: Client, item: AccountItem, timing: DeletionTiming) -> bool:
    """End one thing and say how that went; a refusal of one does not keep the others alive."""
    print(f"ending {item.label}", flush=True)
    target = TARGETS[item.type](client, item.id)
    try:
        refusal = delete(target, timing)
    except RunPodError as error:
        refusal = str(error)
    bills = " and bills" if target.bills else ""
    print(f"  it still exists{bills}: {refusal}" if refusal else "  gone", flush=True)
    return not refusal


def delete(target: Target, timing: DeletionTiming) -> str:
    """Delete an item and wait until it is gone; return why it is still there, or an empty text."""
    _drain(target, timing)
    remaining = deletion.delete_until_gone(target, timing)
    if remaining is None:
        return ""
    return remaining.refusal or f"RunPod accepted the deletion {timing.seconds:.0f} s ago and did not carry it out"


def _drain(target: Target, timing: DeletionTiming) -> None:
    """Let an endpoint's workers finish; those still running after the time limit end with it."""
    if target.park is None or deletion.park(target):
        return
    started = timing.clock()
    while (left := deletion.workers_left(target)) and timing.clock() - started < timing.seconds:
        print(f"  waiting for {left} worker(s) to end", flush=True)
        timing.sleep(timing.every)
