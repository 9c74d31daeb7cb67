"""Verified deletion: a resource is deleted when RunPod reports its id as unknown and no longer lists it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from components.runpod.api.errors import BadRequestError, ConflictError, NotFoundError, RunPodError
from components.runpod.plugin.base.resource import ProviderOperation
from components.runpod.plugin.lifecycle.deletion_targets import Target

_GROWTH = 1.5
"""Polling slows down, so that several deletions with one key stay below RunPod's sixty calls a minute."""


@dataclass(frozen=True)
class DeletionTiming:
    """Time limits of a deletion, in seconds, and the clock they are measured with."""

    seconds: float = 180.0
    every: float = 1.0
    """Seconds until the second poll; each further interval is 1.5 times as long, up to `rarest`."""
    rarest: float = 5.0
    ask_again: float = 20.0
    """Seconds between repeated requests: a terminating pod blocks its volume, and some requests have no effect."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Remaining:
    """A resource that still exists after the time limit."""

    elapsed: float
    """Seconds since its deletion was requested."""
    refusal: str
    """RunPod's last refusal; empty when it accepted the deletion."""


class StillThereError(RunPodError):
    """A resource still exists after its deletion was requested."""


def delete(operation: ProviderOperation, target: Target) -> None:
    """Delete and wait until it is deleted; raises StillThereError after the time limit."""
    timing = _timing(operation)
    _drain(operation, target, timing)
    remaining = delete_until_gone(
        target,
        timing,
        unknown=target.prove,
        waiting=lambda elapsed: operation.reporter.status(
            f"waiting for the deletion of {target.what} {target.id} ({elapsed:.0f} s)"
        ),
    )
    if remaining is not None:
        raise StillThereError(_still_there(target, remaining))
    operation.intents.forget(target.id)


def _timing(operation: ProviderOperation) -> DeletionTiming:
    timing = DeletionTiming(clock=operation.clock, sleep=operation.sleep)
    return replace(timing, seconds=operation.timeout) if operation.timeout else timing


def delete_until_gone(
    target: Target,
    timing: DeletionTiming,
    *,
    unknown: Callable[[], None] = lambda: None,
    waiting: Callable[[float], None] = lambda _elapsed: None,
) -> Remaining | None:
    """Delete and wait until it is deleted; return None, or the remaining resource after the time limit.

    Args:
        target: The resource to delete.
        timing: Time limits.
        unknown: Called when RunPod does not know the id at the first deletion.
        waiting: Called with the seconds since the first deletion before each wait.
    """
    started, asked_at, refusal, pause = timing.clock(), None, "", timing.every
    while True:
        now = timing.clock()
        if asked_at is None or now - asked_at >= timing.ask_again:
            refusal = request_deletion(target, unknown if asked_at is None else lambda: None)
            asked_at = now
        if is_gone(target):
            return None
        elapsed = timing.clock() - started
        if elapsed >= timing.seconds:
            return Remaining(elapsed, refusal)
        waiting(elapsed)
        timing.sleep(min(pause, max(timing.seconds - elapsed, timing.every)))
        pause = min(timing.rarest, pause * _GROWTH)


def request_deletion(target: Target, unknown: Callable[[], None] = lambda: None) -> str:
    """Request the deletion; return why it was refused, for example because a terminating pod uses the volume.

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
    """Return whether RunPod reports the id as unknown and no longer lists it: either answer alone may be wrong."""
    try:
        ended = target.status(target.id) == "TERMINATED"
    except NotFoundError:
        ended = True
    return ended and target.id not in target.listed()


def park(target: Target) -> str:
    """Stop new requests from reaching the workers; return why RunPod refused, or ""."""
    try:
        if target.park is not None:
            target.park(target.id)
    except (NotFoundError, BadRequestError, ConflictError) as refused:
        return str(refused)
    return ""


def workers_left(target: Target) -> int:
    """Return the number of remaining workers; 0 for a deleted endpoint."""
    try:
        return target.busy(target.id)
    except NotFoundError:
        return 0


def _drain(operation: ProviderOperation, target: Target, timing: DeletionTiming) -> None:
    """Wait until the workers finish; the deletion ends those that still run after the time limit."""
    if target.park is None:
        return
    if refusal := park(target):
        operation.reporter.info(f"the workers of {target.what} {target.id} cannot be drained: {refusal}")
        return
    started, pause = operation.clock(), timing.every
    while left := workers_left(target):
        elapsed = operation.clock() - started
        if elapsed >= target.drain_seconds:
            operation.reporter.warning(
                f"{left} worker(s) of {target.what} {target.id} still run after {elapsed:.0f} s; "
                "the deletion ends them and their requests"
            )
            return
        operation.reporter.status(f"{target.what} {target.id}: waiting for {left} worker(s) to stop ({elapsed:.0f} s)")
        operation.sleep(pause)
        pause = min(timing.rarest, pause * _GROWTH)


def _still_there(target: Target, remaining: Remaining) -> str:
    reason = f" RunPod's last refusal: {remaining.refusal}" if remaining.refusal else ""
    bills = " and is billed" if target.bills else ""
    return (
        f"{target.what} {target.id} still exists{bills} {remaining.elapsed:.0f} s after its deletion was requested."
        f"{reason} "
        "Run the same command again, or delete it at https://console.runpod.io."
    )
