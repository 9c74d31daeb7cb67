"""Deletion that cannot lie: something is gone when RunPod itself says so about this very id, and lists it no more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from components.runpod import account_keys, inventory
from components.runpod.api.client import Client
from components.runpod.api.errors import BadRequestError, ConflictError, NotFoundError, RunPodError
from components.runpod.plugin.kind import Operation

BOUND_SECONDS = 180.0
DRAIN_SECONDS = 300.0
"""How long an endpoint's workers may finish what they do. Deleting the endpoint ends them and their jobs anyway."""
_FIRST_LOOK = 1.0
_SLOWEST_LOOK = 5.0
_GROWTH = 1.5
"""Looks get rarer, so that several deletions with one key stay below RunPod's sixty calls a minute."""
_ASK_AGAIN_EVERY = 20.0


class StillThereError(RunPodError):
    """A deletion was asked for and did not happen: what was to be ended still exists."""


@dataclass(frozen=True)
class Target:
    """What is to be ended."""

    what: str
    id: str
    delete: Callable[[str], None]
    status: Callable[[str], str]
    """Present status; raises NotFoundError when the id is unknown."""
    listed: Callable[[], set[str]]
    bills: bool = True
    """Whether it costs something while it exists."""
    park: Callable[[str], None] | None = None
    """Makes no new work reach it, so that it can finish what it does before it ends."""
    busy: Callable[[str], int] = lambda _id: 0
    """How many workers of it are left."""
    drain_seconds: float = DRAIN_SECONDS
    prove: Callable[[], None] = lambda: None
    """Called when the id was unknown from the start; raises when that does not prove that it is gone."""


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


def endpoint(client: Client, endpoint_id: str, drain_seconds: float = DRAIN_SECONDS) -> Target:
    """Return a serverless endpoint as a target: its workers are what bills, so they go first."""
    return Target(
        "serverless endpoint",
        endpoint_id,
        client.endpoints.delete,
        lambda one: client.endpoints.get(one).type,
        lambda: {entry.id for entry in client.endpoints.all()},
        park=lambda one: _park(client, one),
        busy=lambda one: len(client.list_workers(one)),
        drain_seconds=drain_seconds,
    )


def template(client: Client, template_id: str) -> Target:
    """Return a template as a target."""
    return Target(
        "template",
        template_id,
        client.templates.delete,
        lambda one: client.templates.get(one).category,
        lambda: {entry.id for entry in client.templates.all()},
        bills=False,
    )


def registry(client: Client, registry_id: str) -> Target:
    """Return registry credentials as a target."""
    return Target(
        "registry credentials",
        registry_id,
        client.registries.delete,
        lambda one: client.registries.get(one).name,
        lambda: {entry.id for entry in client.registries.all()},
        bills=False,
    )


def ssh_key(client: Client, key_id: str) -> Target:
    """Return an entry of the account's SSH keys as a target; its id is the comment that carries the marker."""
    return Target(
        "SSH key",
        key_id,
        lambda one: account_keys.remove(client, one),
        lambda one: account_keys.find(client, one),
        lambda: account_keys.marked(client),
        bills=False,
    )


TARGETS: Mapping[str, Callable[[Client, str], Target]] = {
    "pod": pod,
    inventory.ENDPOINT: endpoint,
    "volume": volume,
    inventory.TEMPLATE: template,
    inventory.REGISTRY: registry,
    inventory.SSH_KEY: ssh_key,
}
"""Every kind of thing that can carry a stack's mark, in the order in which they end: users before what they use."""


def end(operation: Operation, target: Target) -> None:
    """Delete and look until it is gone; raises StillThereError when it is not within the bound."""
    _drain(operation, target)
    started = operation.clock()
    bound = operation.timeout or BOUND_SECONDS
    asked_at: float | None = None
    refusal, pause = "", _FIRST_LOOK
    while True:
        now = operation.clock()
        if asked_at is None or now - asked_at >= _ASK_AGAIN_EVERY:
            refusal = ask(target, target.prove if asked_at is None else lambda: None)
            asked_at = now
        if is_gone(target):
            operation.intents.forget(target.id)
            return
        elapsed = operation.clock() - started
        if elapsed >= bound:
            raise StillThereError(_still_there(target, elapsed, refusal))
        operation.screen.status(f"waiting for the end of {target.what} {target.id} ({elapsed:.0f} s)")
        operation.sleep(min(pause, max(bound - elapsed, _FIRST_LOOK)))
        pause = min(_SLOWEST_LOOK, pause * _GROWTH)


def ask(target: Target, unknown: Callable[[], None] = lambda: None) -> str:
    """Ask for the deletion; return why it was refused for now, as a volume is while a dying pod still has it.

    `unknown` is called when RunPod does not know the id.
    """
    try:
        target.delete(target.id)
    except NotFoundError:
        unknown()
        return ""
    except (BadRequestError, ConflictError) as refused:
        return str(refused)
    return ""


def is_gone(target: Target) -> bool:
    """Say whether RunPod says so about this very id, and lists it no more: one of the two answers may be wrong."""
    try:
        ended = target.status(target.id) == "TERMINATED"
    except NotFoundError:
        ended = True
    return ended and target.id not in target.listed()


def park(target: Target) -> str:
    """Let no new work reach what has workers; return why RunPod refused that, "" when it did not."""
    try:
        if target.park is not None:
            target.park(target.id)
    except (NotFoundError, BadRequestError, ConflictError) as refused:
        return str(refused)
    return ""


def workers_left(target: Target) -> int:
    """Return how many workers are left; none of what is gone."""
    try:
        return target.busy(target.id)
    except NotFoundError:
        return 0


def _drain(operation: Operation, target: Target) -> None:
    """Let workers finish; what does not within the bound ends with the deletion, because it bills."""
    if target.park is None:
        return
    if refusal := park(target):
        operation.screen.info(f"the workers of {target.what} {target.id} cannot be drained: {refusal}")
        return
    started, pause = operation.clock(), _FIRST_LOOK
    while left := workers_left(target):
        elapsed = operation.clock() - started
        if elapsed >= target.drain_seconds:
            operation.screen.warning(
                f"{left} worker(s) of {target.what} {target.id} still run after {elapsed:.0f} s; "
                "the deletion ends them and what they do"
            )
            return
        operation.screen.status(f"{target.what} {target.id}: waiting for {left} worker(s) to end ({elapsed:.0f} s)")
        operation.sleep(pause)
        pause = min(_SLOWEST_LOOK, pause * _GROWTH)


def _park(client: Client, endpoint_id: str) -> None:
    client.endpoints.update(endpoint_id, {"workers": {"min": 0, "max": 0}})


def _still_there(target: Target, elapsed: float, refusal: str) -> str:
    reason = f" RunPod's last refusal: {refusal}" if refusal else ""
    bills = ", and bills," if target.bills else ""
    return (
        f"{target.what} {target.id} still exists{bills} {elapsed:.0f} s after its deletion was asked for.{reason} "
        "Run the same command again, or end it at https://console.runpod.io."
    )
