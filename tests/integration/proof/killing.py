"""SIGKILL at a chosen moment of `up`, and the moment that it hit."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tests.integration.proof.runpod import RunPod
from tests.integration.proof.site import BOUND, Site
from tests.integration.provider.bench import alive, until

MOMENTS = ("before POST", "in flight", "after the effect", "waiting for ready", "provisioning")
VICTIMS = ("tree", "cli", "provider")
_POD = ("POST", "/v2/pods")
_VOLUME = ("POST", "/v2/network-volumes")
Row = tuple[int, int, str]
"""A process, its parent and its command line."""

DRAWS = 5
"""Times that a kill is drawn before the test gives up: on a fast machine `up` may have ended before its kill came."""

_HELD = 2.0
"""Seconds a POST is held, below the stack's lateEffectSeconds: an effect that comes later than that is another test."""


@dataclass(frozen=True)
class Hit:
    """One kill: what was aimed at, and what was hit."""

    aimed: str
    victim: str
    moment: str


def kill_up(
    site: Site,
    runpod: RunPod,
    draw: random.Random,
    aimed: str,
    victim: str,
    undo: Callable[[], object] | None = None,
    draws: int = DRAWS,
) -> Hit:
    """Kill an `up` at a random point of a moment; one that ended before its kill came is undone, and another drawn.

    `undo` makes what was there before that `up`; without it that was nothing.
    """
    for _ in range(draws):
        hit = _kill_one(site, runpod, draw, aimed, victim)
        if hit:
            return hit
        (undo or site.pulumi_destroy)()
    raise AssertionError(f"{draws} times in a row `up` had ended before its kill came: {aimed}, {victim}")


def _kill_one(site: Site, runpod: RunPod, draw: random.Random, aimed: str, victim: str) -> Hit | None:
    """Start `up`, kill it, and wait until nothing of it is left; None when it had ended by then."""
    _hold(runpod, aimed)
    process = site.start("up", "--yes", "--skip-preview")
    try:
        _await_moment(site, runpod, draw, aimed, victim, process)
        moment = observed(site, runpod)
        killed = _kill(process, victim)
    finally:
        runpod.faults()
        runpod.conditions(provisioning_seconds=0.3)
    return Hit(aimed, victim, moment) if killed else None


def observed(site: Site, runpod: RunPod) -> str:
    """Say where an `up` is, by what the account and the engine's state show."""
    posts = runpod.requests(*_POD)
    if not posts:
        return MOMENTS[0]
    if site.ids():
        return MOMENTS[4]
    if not runpod.pods():
        return MOMENTS[1]
    return MOMENTS[2] if posts[-1]["status"] is None else MOMENTS[3]


def _hold(runpod: RunPod, aimed: str) -> None:
    """Stretch the moment that is aimed at, so that it can be hit."""
    runpod.forget_requests()
    held = {
        "in flight": {"method": "POST", "path": "^/v2/pods$", "do": {"stall_seconds": _HELD}},
        "after the effect": {"method": "POST", "path": "^/v2/pods$", "do": {"stall_after_seconds": _HELD}},
        "provisioning": {"method": "POST", "path": "^/v2/network-volumes$", "do": {"stall_seconds": _HELD}},
    }
    runpod.faults(*([held[aimed]] if aimed in held else []))
    runpod.conditions(provisioning_seconds=30.0 if aimed == "waiting for ready" else 0.3)


def _await_moment(
    site: Site, runpod: RunPod, draw: random.Random, aimed: str, victim: str, process: subprocess.Popen[bytes]
) -> None:
    known = {pod.id for pod in runpod.pods()}
    reached: dict[str, Callable[[], Any]] = {
        # The provider has to be there to be killed.
        "before POST": lambda: victim != "provider" or provider_of(process.pid, _processes()),
        "in flight": lambda: runpod.requests(*_POD),
        "after the effect": lambda: {pod.id for pod in runpod.pods()} - known,
        "waiting for ready": lambda: [call for call in runpod.requests(*_POD) if call["status"] == 201],
        "provisioning": lambda: runpod.requests(*_VOLUME),
    }
    until(lambda: reached[aimed]() or process.poll() is not None, aimed, BOUND)
    # Behind what is provisioned nothing comes any more: the rest of its time is for looking round and for the kill.
    longest = {"before POST": 1.5, "waiting for ready": 2.0, "provisioning": 0.3 * _HELD}.get(aimed, 0.8 * _HELD)
    time.sleep(draw.uniform(0, longest))


def _kill(process: subprocess.Popen[bytes], victim: str) -> bool:
    """Send SIGKILL and wait until nothing is left; False when `up` had done its work before."""
    running = _processes()
    family = [process.pid, *descendants(process.pid, running)]
    provider = provider_of(process.pid, running)
    victims = {"tree": family, "cli": [process.pid], "provider": [provider] if provider else family}[victim]
    for pid in victims:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=BOUND)
    if provider:
        until(lambda: not alive(provider), "the end of the provider", BOUND)
    _clear_away(family)
    return process.returncode != 0


def _clear_away(family: list[int]) -> None:
    """The language host and the program can make no resource without their engine; they end, or are ended here."""
    try:
        until(lambda: not any(alive(pid) for pid in family), "the end of the engine's other children", 15)
    except AssertionError:
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def provider_of(pid: int, running: list[Row]) -> int:
    """The provider's process below another, 0 while there is none."""
    programs = {child: program for child, _, program in running}
    below = descendants(pid, running)
    return next((child for child in below if "components.runpod.plugin" in programs[child]), 0)


def descendants(pid: int, running: list[Row]) -> list[int]:
    found = [pid]
    for one in found:
        found += [child for child, parent, _ in running if parent == one]
    return found[1:]


def _processes() -> list[Row]:
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = (line.split(maxsplit=2) for line in listed.splitlines())
    return [(int(row[0]), int(row[1]), row[2]) for row in rows if len(row) == 3]
