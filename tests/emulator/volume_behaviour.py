"""The behaviour of network volumes under the conditions that are set, and faults injected at once."""

from __future__ import annotations

import time
from typing import Any

from tests.emulator.faults import Conditions
from tests.emulator.runtimes import Volumes
from tests.emulator.runtimes.volume_behaviour import ERRORS, Behaviour, Orders
from tests.emulator.state import State, Volume

BYTES_PER_GB = 10**9
BYTES_PER_MB = 10**6


def behaviour_of(volume: Volume, conditions: Conditions) -> Behaviour | None:
    """Return how a volume behaves under these conditions; None for a plain directory."""
    if conditions.volume_kind == "plain":
        return None
    size = conditions.volume_megabytes * BYTES_PER_MB or volume.size * BYTES_PER_GB
    return Behaviour(
        modes=conditions.volume_modes,
        locks=conditions.volume_locks,
        quota_bytes=size if conditions.volume_quota else 0,
        open_ms=conditions.volume_open_ms,
        eio_rate=conditions.volume_eio_rate,
        stall_rate=conditions.volume_stall_rate,
        stall_seconds=conditions.volume_stall_seconds,
    )


def settle(state: State, conditions: Conditions, volumes: Volumes) -> None:
    """Have the volumes that pods have mounted behave as the conditions say now."""
    for volume in state.living_volumes():
        if behaviour := behaviour_of(volume, conditions):
            volumes.behave(volume.id, behaviour)


def orders_of(body: dict[str, Any]) -> Orders:
    """Return what a volume is told to do; ValueError names what is not known."""
    match body:
        case {"do": "stall", "seconds": int() | float() as seconds}:
            return Orders(stalled_until=time.time() + seconds)
        case {"do": "fail-writes", "count": int() as count} if body.get("error", "EIO") in ERRORS:
            return Orders(failing_writes=count, error=body.get("error", "EIO"))
        case {"do": "rest"}:
            return Orders()
    known = f"{{do: stall, seconds}}, {{do: fail-writes, count, error: {'|'.join(ERRORS)}}}, {{do: rest}}"
    raise ValueError(f"{body!r} is none of {known}")


def described(conditions: Conditions, volumes: Volumes) -> str:
    """Return in a few words how network volumes behave here, for the line at the start."""
    if conditions.volume_kind == "plain":
        return "plain directories, as the condition volume_kind says"
    if volumes.plain:
        return f"plain directories: {volumes.plain}"
    full = "full at their size" if conditions.volume_quota else "without a bound"
    return f"as RunPod's: everything is root's, chmod is {conditions.volume_modes}, {full}"
