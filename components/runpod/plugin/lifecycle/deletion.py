"""Deletion that cannot lie: something is gone when RunPod itself says so about this very id, and lists it no more."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from components.runpod.api.errors import BadRequestError, ConflictError, NotFoundError, RunPodError
from components.runpod.plugin.base.resource import Operation
from components.runpod.plugin.lifecycle.deletion_targets import Target

_GROWTH = 1.5
"""Looks get rarer, so that several deletions with one key stay below RunPod's sixty calls a minute."""


@dataclass(frozen=True)
class DeletionTiming:
    """Time limits of a deletion, in seconds, and the clock they are measured with."""

    seconds: float = 180.0
    every: float = 1.0
    """Until the second look; each further one waits half as long again, up to `rarest`: calls are limited."""
    rarest: float = 5.0
    ask_again: float = 20.0
    """A volume cannot be deleted while a dying pod still has it, and some deletions are accepted and do nothing."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Remaining:
    """A target that still exists when the time limit has passed."""

    elapsed: float
    """Seconds since its deletion was asked for."""
    refusal: str
    """RunPod's last refusal; empty when it accepted the deletion."""


class StillThereError(RunPodError):
    """A deletion was asked for and did not happen: what was to be ended still exists."""


def delete(operation: Operation, target: Target) -> None:
    """Delete and look until it is gone; raises StillThereError when it is not within the bound."""
    timing = _timing(operation)
    _drain(operation, target, timing)
    remaining = delete_until_gone(
        target,
        timing,
        unknown=target.prove,
        waiting=lambda elapsed: operation.reporter.status(
            f"waiting for the end of {target.what} {target.id} ({elapsed:.0f} s)"
        ),
    )
    if remaining is not None:
        raise StillThereError(_still_there(target, remaining))
    operation.intents.forget(target.id)


def _timing(operation: Operation) -> DeletionTiming:
    timing = DeletionTiming(clock=operation.clock, sleep=operation.sleep)
    return replace(timing, seconds=operation.timeout) if operation.timeout else timing


def delete_until_gone(
    target: Target,
    timing: DeletionTiming,
    *,
    unknown: Callable[[], None] = lambda: None,
    waiting: Callable[[float], None] = lambda _elapsed: None,
) -> Remaining | None:
    """Delete and look until it is gone; return None then, and what is known of it when the time limit passes first.

    Args:
        target: What is to be deleted.
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


def _drain(operation: Operation, target: Target, timing: DeletionTiming) -> None:
    """Let workers finish; what does not within the bound ends with the deletion, because it bills."""
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
                "the deletion ends them and what they do"
            )
            return
        operation.reporter.status(f"{target.what} {target.id}: waiting for {left} worker(s) to end ({elapsed:.0f} s)")
        operation.sleep(pause)
        pause = min(timing.rarest, pause * _GROWTH)


def _still_there(target: Target, remaining: Remaining) -> str:
    reason = f" RunPod's last refusal: {remaining.refusal}" if remaining.refusal else ""
    bills = ", and bills," if target.bills else ""
    return (
        f"{target.what} {target.id} still exists{bills} {remaining.elapsed:.0f} s after its deletion was asked for."
        f"{reason} "
        "Run the same command again, or end it at https://console.runpod.io."
    )
