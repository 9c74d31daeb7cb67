"""The object that the parts of the emulator share."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from aiohttp import web

from tests.emulator.accounts import Caller, Quota
from tests.emulator.clock import Clock
from tests.emulator.faults import Conditions, Faults, parse_conditions
from tests.emulator.lifecycle import Lifecycle
from tests.emulator.market import Market
from tests.emulator.podlog import Logs
from tests.emulator.problems import not_found
from tests.emulator.runtimes import Runtime
from tests.emulator.state import Pod, State, Volume

REMEMBERED = 20_000
"""How many requests and violations are kept to be looked at."""


def remembered() -> deque[dict[str, Any]]:
    """Return a list that forgets its oldest entries."""
    return deque(maxlen=REMEMBERED)


@dataclass
class Emulator:
    """A RunPod of one's own."""

    state: State
    clock: Clock
    runtime: Runtime
    conditions: Conditions
    market: Market
    logs: Logs
    lifecycle: Lifecycle
    faults: Faults = field(default_factory=Faults)
    requests: deque[dict[str, Any]] = field(default_factory=remembered)
    violations: deque[dict[str, Any]] = field(default_factory=remembered)
    quota: Quota = field(default_factory=Quota)
    reason: str = ""
    """Why it has this runtime."""
    code: str = ""
    """Hash of the source it runs, so that a newer checkout can tell."""

    @property
    def files(self) -> Path:
        """What the file server serves."""
        return self.state.directory / "files"


def assemble(state: State, clock: Clock, runtime: Runtime) -> Emulator:
    """Put the parts together; nothing is started yet."""
    conditions = parse_conditions(state.conditions)
    logs = Logs(state.directory / "logs", runtime, clock)
    lifecycle = Lifecycle(state, clock, runtime, conditions, logs)
    return Emulator(state, clock, runtime, conditions, Market(state), logs, lifecycle)


EMULATOR = web.AppKey("emulator", Emulator)
CALLER = web.RequestKey("caller", Caller)
"""On whose behalf a request is made."""


def of(request: web.Request) -> Emulator:
    """Return the emulator a request came to."""
    return request.app[EMULATOR]


def account_of(request: web.Request) -> str:
    """Return the name of the account a request speaks for."""
    return request[CALLER].account


class Owned(Protocol):
    """What belongs to an account, from one moment to another."""

    account: str
    ended_at: float | None

    @property
    def created_at(self) -> float:
        """When it was made."""


Thing = TypeVar("Thing", bound=Owned)


def listed(request: web.Request, things: Iterable[Thing]) -> Iterator[Thing]:
    """Yield what a list of the caller's account shows, which under a lag is not quite what exists."""
    emu, account = of(request), account_of(request)
    lag = emu.conditions.list_lag_seconds
    seen = emu.clock.now() - lag
    for thing in things:
        ended = thing.ended_at is not None and (thing.ended_at <= seen or not lag)
        if thing.account == account and thing.created_at <= seen and not ended:
            yield thing


def one_of(request: web.Request, things: Mapping[str, Thing], noun: str) -> Thing:
    """Return the thing a request names, when it is the account's; else the API's 404."""
    thing = things.get(request.match_info["id"])
    if thing is None or thing.account != account_of(request) or thing.ended_at is not None:
        raise not_found(noun)
    return thing


def pod_of(request: web.Request) -> Pod:
    """Return the pod a request names."""
    return one_of(request, of(request).state.pods, "pod")


def volume_of(request: web.Request) -> Volume:
    """Return the network volume a request names."""
    return one_of(request, of(request).state.volumes, "network volume")
