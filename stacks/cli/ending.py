"""Ends pods and volumes from outside of any stack, and believes nothing but what the API shows afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from components.runpod.api import Client
from components.runpod.api.errors import BadRequestError, ConflictError, NotFoundError, RunPodError
from stacks.cli.account import Item


@dataclass(frozen=True)
class Patience:
    """How long to look for an end; replaced in tests."""

    seconds: float = 180.0
    every: float = 1.0
    ask_again: float = 20.0
    """A volume cannot be deleted while a dying pod still has it, and some deletions are accepted and do nothing."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


BOUND = Patience()


def end_all(client: Client, items: Iterable[Item], patience: Patience | None = None) -> list[Item]:
    """End everything, pods first because a volume in use cannot be deleted; return what is still there."""
    ordered = sorted(items, key=lambda item: item.type != "pod")
    return [item for item in ordered if not _ended(client, item, patience or BOUND)]


def _ended(client: Client, item: Item, patience: Patience) -> bool:
    """End one thing and say how that went; a refusal of one does not keep the others alive."""
    print(f"ending {item.label}", flush=True)
    try:
        refusal = end(client, item, patience)
    except RunPodError as error:
        refusal = str(error)
    print(f"  it still exists and bills: {refusal}" if refusal else "  gone", flush=True)
    return not refusal


def end(client: Client, item: Item, patience: Patience) -> str:
    """Delete and look until it is gone; empty, or why it is still there after the bound."""
    started, asked, refusal = patience.clock(), None, ""
    while True:
        now = patience.clock()
        if asked is None or now - asked >= patience.ask_again:
            refusal, asked = _ask(client, item), now
        if _is_gone(client, item):
            return ""
        if patience.clock() - started >= patience.seconds:
            return refusal or f"RunPod accepted the deletion {patience.seconds:.0f} s ago and did not carry it out"
        patience.sleep(patience.every)


def _ask(client: Client, item: Item) -> str:
    """Ask for the end; return why it was refused for now."""
    delete = client.delete_pod if item.type == "pod" else client.delete_network_volume
    try:
        delete(item.id)
    except NotFoundError:
        return ""
    except (BadRequestError, ConflictError) as refused:
        return str(refused)
    return ""


def _is_gone(client: Client, item: Item) -> bool:
    """Whether RunPod says so about this very id, and lists it no more: one of the two answers may be wrong."""
    try:
        if item.type != "pod":
            client.get_network_volume(item.id)
            return False
        if client.get_pod(item.id).status != "TERMINATED":
            return False
    except NotFoundError:
        pass
    if item.type == "pod":
        return item.id not in {pod.id for pod in client.list_pods() if pod.status != "TERMINATED"}
    return item.id not in {volume.id for volume in client.list_network_volumes()}
