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
    """Delete all items, each before the items it depends on, and return those that still exist."""
    order = list(TARGETS)
    ordered = sorted(items, key=lambda item: order.index(item.type))
    return [item for item in ordered if not _ended(client, item, timing or DeletionTiming())]


def _ended(client: Client, item: AccountItem, timing: DeletionTiming) -> bool:
    """Delete one item and print the result; a failed deletion does not stop the others."""
    print(f"deleting {item.label}", flush=True)
    target = TARGETS[item.type](client, item.id)
    try:
        refusal = delete(target, timing)
    except RunPodError as error:
        refusal = str(error)
    bills = " and is billed" if target.bills else ""
    print(f"  it still exists{bills}: {refusal}" if refusal else "  deleted", flush=True)
    return not refusal


def delete(target: Target, timing: DeletionTiming) -> str:
    """Delete a resource and wait until it is gone; return why it still exists, or an empty text."""
    _drain(target, timing)
    remaining = deletion.delete_until_gone(target, timing)
    if remaining is None:
        return ""
    return (
        remaining.refusal or f"RunPod accepted the deletion {timing.seconds:.0f} s ago, and the resource still exists"
    )


def _drain(target: Target, timing: DeletionTiming) -> None:
    """Wait until an endpoint's workers finish; the deletion ends those that still run after the time limit."""
    if target.park is None or deletion.park(target):
        return
    started = timing.clock()
    while (left := deletion.workers_left(target)) and timing.clock() - started < timing.seconds:
        print(f"  waiting for {left} worker(s) to stop", flush=True)
        timing.sleep(timing.every)
