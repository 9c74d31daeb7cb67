"""Deletion that cannot lie: something is gone when RunPod itself says so about this very id, and lists it no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from components.runpod.api.client import Client
from components.runpod.api.errors import BadRequestError, ConflictError, NotFoundError, RunPodError
from components.runpod.plugin.kind import Operation

BOUND_SECONDS = 180.0
_LOOK_EVERY = 1.0
_ASK_AGAIN_EVERY = 20.0


class StillThereError(RunPodError):
    """A deletion was asked for and did not happen: what was to be ended still bills."""


@dataclass(frozen=True)
class Target:
    """What is to be ended."""

    what: str
    id: str
    delete: Callable[[str], None]
    status: Callable[[str], str]
    """Present status; raises NotFoundError when the id is unknown."""
    listed: Callable[[], set[str]]


def pod(client: Client, pod_id: str) -> Target:
    """Return a pod as a target."""
    return Target(
        "pod",
        pod_id,
        client.delete_pod,
        lambda one: client.get_pod(one).status,
        lambda: {entry.id for entry in client.list_pods() if entry.status != "TERMINATED"},
    )


def volume(client: Client, volume_id: str) -> Target:
    """Return a network volume as a target."""
    return Target(
        "network volume",
        volume_id,
        client.delete_network_volume,
        lambda one: f"{client.get_network_volume(one).size} GB",
        lambda: {entry.id for entry in client.list_network_volumes()},
    )


def end(operation: Operation, target: Target) -> None:
    """Delete and look until it is gone; raises StillThereError when it is not within the bound."""
    started = operation.clock()
    bound = operation.timeout or BOUND_SECONDS
    asked_at: float | None = None
    refusal = ""
    while True:
        now = operation.clock()
        if asked_at is None or now - asked_at >= _ASK_AGAIN_EVERY:
            refusal = _ask(target)
            asked_at = now
        if _gone(target):
            operation.intents.forget(target.id)
            return
        elapsed = operation.clock() - started
        if elapsed >= bound:
            raise StillThereError(_still_there(target, elapsed, refusal))
        operation.screen.status(f"waiting for the end of {target.what} {target.id} ({elapsed:.0f} s)")
        operation.sleep(_LOOK_EVERY)


def _ask(target: Target) -> str:
    """Ask for the deletion; return why it was refused for now, as a volume is while a dying pod still has it."""
    try:
        target.delete(target.id)
    except NotFoundError:
        return ""
    except (BadRequestError, ConflictError) as refused:
        return str(refused)
    return ""


def _gone(target: Target) -> bool:
    try:
        ended = target.status(target.id) == "TERMINATED"
    except NotFoundError:
        ended = True
    # A list that still has it means that one of the two answers is not the whole truth yet.
    return ended and target.id not in target.listed()


def _still_there(target: Target, elapsed: float, refusal: str) -> str:
    reason = f" RunPod's last refusal: {refusal}" if refusal else ""
    return (
        f"{target.what} {target.id} still exists, and bills, {elapsed:.0f} s after its deletion was asked for.{reason} "
        "Run the same command again, or end it at https://console.runpod.io."
    )
