"""Fault rules for single calls, and conditions that hold for all of the emulator."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Coroutine
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from tests.emulator.error_forms import FORMS
from tests.emulator.runtimes.volume_behaviour import LOCKS, MODES
from tests.emulator.state import Pod


@dataclass
class Effect:
    """What happens to a call that a rule chose; without any of these it goes its way."""

    status: int | None = None
    """Answered in place of the real status; the call has no effect unless `effect` is true."""
    body: Any = None
    """An object is sent as JSON, a text as it is; nothing: an error of `form`."""
    form: str = ""
    """An error's form: problem, error, objects, html, text or empty; by default the usual one for the status.

    That is a page of Cloudflare's for 408, 520 to 527 and 530, with `effect` or without, and RFC 9457 for all others.
    """
    content_type: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    effect: bool = False
    """With `status`: the call is carried out, and only its answer is replaced."""
    reset_before: bool = False
    """The connection breaks before the call has any effect."""
    reset_after: bool = False
    """The call is carried out, and the connection breaks instead of an answer."""
    late_seconds: float = 0.0
    """The connection breaks at once, and the call is carried out so much later."""
    stall_seconds: float = 0.0
    """Waited before the call is carried out, by the emulator's clock."""
    stall_after_seconds: float = 0.0
    """Waited between the effect and the answer, by the emulator's clock."""
    conditions: dict[str, Any] = field(default_factory=dict)
    """Conditions that hold from this call on, as for /_emulator/conditions."""
    stock: list[dict[str, Any]] = field(default_factory=list)
    """Stock from this call on, as for /_emulator/stock."""
    market: int | None = None
    """Seed by which the whole market has moved when this call comes, as for /_emulator/market."""
    pods: str = ""
    """What becomes of every pod before this call is carried out: lose, crash, stop or fail-host."""

    @property
    def label(self) -> str:
        """What the list of requests says about a call this happened to."""
        set_members = (item.name for item in fields(self) if getattr(self, item.name) != item.default)
        return ", ".join(name for name in set_members if getattr(self, name))


@dataclass
class Rule:
    """Chooses calls and says what happens to them."""

    do: Effect
    method: str = "*"
    path: str = ".*"
    """Regular expression, searched in the path."""
    content: str = ""
    """Regular expression, searched in the request's body."""
    nth: list[int] = field(default_factory=list)
    """Which of the calls that match, counted from 1; empty: all."""
    times: int | None = None
    """How often at most it acts."""
    since: float = 0.0
    """Seconds after it was set, by the emulator's clock, from which it acts."""
    until: float | None = None
    """Seconds after it was set up to which it acts."""
    probability: float = 1.0
    seed: int = 0
    set_at: float = 0.0
    matched: int = 0
    acted: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - a fault schedule is to be repeatable, not secret
        self._path = re.compile(self.path)
        self._content = re.compile(self.content)

    def takes(self, method: str, path: str, content: str, now: float) -> bool:
        """Count the call when it matches, and say whether the rule acts on it."""
        if self.method not in ("*", method) or not (self._path.search(path) and self._content.search(content)):
            return False
        age = now - self.set_at
        if age < self.since or (self.until is not None and age > self.until):
            return False
        self.matched += 1
        chosen = (not self.nth or self.matched in self.nth) and (self.times is None or self.acted < self.times)
        acts = chosen and self._random.random() < self.probability
        self.acted += acts
        return acts


def parse_rule(raw: dict[str, Any], now: float) -> Rule:
    """Return a rule from JSON; ValueError names a member that is not known or a pattern that is none."""
    refuse_unknown(raw, Rule, "rule")
    refuse_unknown(raw.get("do", {}), Effect, "do")
    parse_conditions(raw.get("do", {}).get("conditions", {}))
    if raw.get("do", {}).get("form", "") not in ("", *FORMS):
        raise ValueError(f"do: form is one of {', '.join(FORMS)}, not {raw['do']['form']!r}")
    nth = raw.get("nth", [])
    try:
        return Rule(**raw | {"do": Effect(**raw["do"]), "nth": [nth] if isinstance(nth, int) else nth, "set_at": now})
    except (KeyError, TypeError, re.error) as error:
        raise ValueError(f"fault rule {raw}: {error!r}") from error


def refuse_unknown(raw: dict[str, Any], kind: type[Any], where: str) -> None:
    """Raise ValueError for members that the dataclass does not have."""
    known = {item.name for item in fields(kind)}
    if unknown := sorted(set(raw) - known):
        raise ValueError(f"{where}: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}")


class Faults:
    """The rules that are set; the first one that acts on a call wins."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self._late: set[asyncio.Task[None]] = set()

    def choose(self, method: str, path: str, content: str, now: float) -> Effect | None:
        """Return what happens to a call, None for nothing; every rule counts the call."""
        acting = [rule for rule in self.rules if rule.takes(method, path, content, now)]
        return acting[0].do if acting else None

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that nobody waits for."""
        task = asyncio.create_task(work)
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def close(self) -> None:
        """Drop what has not come about yet."""
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    def report(self) -> list[dict[str, Any]]:
        """Return the rules with how often each matched and acted."""
        return [asdict(rule) for rule in self.rules]


@dataclass
class Conditions:
    """How this RunPod behaves now. Patterns are regular expressions searched in a pod's name; empty means no pod."""

    provisioning_seconds: float = 0.3
    """From create or start to RUNNING."""
    starting_seconds: float = 0.3
    """From RUNNING to the start of the container; `runtime` is null meanwhile."""
    gpus_late_seconds: float = 0.5
    """From the start of the container until `runtime` lists its GPUs; its ports are there at once."""
    list_lag_seconds: float = 0.0
    """How long a list does not know what was made, and still knows what was ended."""
    billing_lag_seconds: float = 0.0
    """How long it takes until something spent is in the billing records."""
    balance: float = 1000.0
    """USD left; at 0 nothing can be created or started."""
    requests_per_minute: int = 6000
    """Of one account; more are answered 429."""
    never_ready: str = ""
    """Pods that stay RUNNING with `runtime` null."""
    crash_loop: str = ""
    """Pods whose start command ends at once, again and again."""
    zero_gpus_after_start: str = ""
    """Pods that come up without a GPU after stop and start."""
    start_fails: str = ""
    """Pods that cannot be started again after a stop: no GPU free."""
    ssh_refused: str = ""
    """Pods whose published TCP ports break every new connection."""
    worker_end_seconds: float = 0.3
    """How long a worker of an endpoint goes on after it is no longer wanted."""
    workers_never_end: str = ""
    """Endpoints whose workers go on although they are no longer wanted; deleting the endpoint ends them."""
    volume_kind: str = "fuse"
    """Network volumes of containers started from now on, in the namespace runtime: `fuse` (as RunPod's) or `plain`."""
    volume_modes: str = "ignored"
    """`ignored`: chmod does nothing, files show 0666 and folders 0777; `obeyed`. From a volume's next mount on."""
    volume_locks: str = "kept"
    """File locks: `kept`, also between pods, or `refused` with ENOLCK. From a volume's next mount on."""
    volume_quota: bool = True
    """Whether a volume is full (EDQUOT) at its size."""
    volume_megabytes: int = 0
    """What really fits on the volumes, less than their size; 0: their size.

    Plain ones are then an empty file system in memory, for the containers started from now on.
    """
    volume_open_ms: float = 1.0
    """Milliseconds that opening or making a file on a volume takes."""
    volume_eio_rate: float = 0.0
    """Share of reads, writes and fsyncs on volumes that answer EIO, from 0 to 1."""
    volume_stall_rate: float = 0.0
    """Share of reads, writes and fsyncs on volumes that wait `volume_stall_seconds` of real time, from 0 to 1."""
    volume_stall_seconds: float = 30.0
    delete_mounted_status: int = 400
    """What the deletion of a volume answers that a pod mounts; 0: it is deleted under its pods."""
    revoked_keys: str = ""
    """API keys that are no longer accepted: a pattern for the whole key."""

    def hits(self, pattern: str, pod: Pod) -> bool:
        """Say whether a pattern of these conditions means the pod."""
        return self.names(pattern, pod.name)

    def names(self, pattern: str, name: str) -> bool:
        """Say whether a pattern of these conditions means what has this name."""
        return bool(pattern) and re.search(pattern, name) is not None


CHOICES: dict[str, tuple[str, ...]] = {"volume_kind": ("plain", "fuse"), "volume_modes": MODES, "volume_locks": LOCKS}
"""What the conditions that are words can be."""


def parse_conditions(raw: dict[str, Any]) -> Conditions:
    """Return conditions from JSON; ValueError names what is not known."""
    refuse_unknown(raw, Conditions, "conditions")
    for name, known in CHOICES.items():
        if raw.get(name, known[0]) not in known:
            raise ValueError(f"conditions: {name} is one of {', '.join(known)}, not {raw[name]!r}")
    return Conditions(**raw)
