"""What every kind of resource answers to the engine, in plain values."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

from pulumi.runtime.rpc import UNKNOWN

from components.runpod.api.client import Client
from components.runpod.api.errors import RunPodError, StoppedError
from components.runpod.intents import Intents
from components.runpod.plugin.base.account_check import AccountCheck
from components.runpod.plugin.base.property_codec import Values
from components.runpod.plugin.base.settings import ProviderSettings
from components.runpod.plugin.base.stack_file import NO_STACK_FILES, StackFiles

Failure = tuple[str, str]
"""An input's name and what is wrong with it."""


class Reporter(Protocol):
    """Where messages go."""

    def info(self, text: str) -> None:
        """Show a line that stays."""

    def status(self, text: str) -> None:
        """Show what is being waited for."""

    def warning(self, text: str) -> None:
        """Show a warning."""


@dataclass(frozen=True)
class Operation:
    """One request of the engine, with all it may use; time is injected."""

    urn: str
    settings: ProviderSettings
    client: Callable[[], Client]
    """Returns the client; raises NoKeyError without an API key."""
    reporter: Reporter
    intents: Intents
    sleep: Callable[[float], None]
    clock: Callable[[], float]
    ids_in_state: frozenset[str] = frozenset()
    """Ids of this resource that are in the engine's state: read there, or asked about by the engine."""
    state_was_read: bool = False
    """Those are all of them; otherwise the state may hold more than the engine has asked about."""
    wall: Callable[[], float] = time.time
    """Seconds since 1970, for what is compared with the state of an earlier run."""
    pending: Mapping[str, float] = field(default_factory=dict)
    """Creations of the stack that a killed run has begun, by URN: since when, seconds since 1970; 0: nobody knows."""
    saved_ids: Callable[[], frozenset[str] | None] = lambda: None
    """Returns every id that the engine's state holds now; None where nobody can read it."""
    stack_files: StackFiles = NO_STACK_FILES
    """What the person has written, for deletions that nobody could undo."""
    ids_of_stack: Callable[[], frozenset[str]] = frozenset
    """Returns what the engine's state holds now, as far as it is known."""
    account: AccountCheck = field(default_factory=AccountCheck)
    """Whether what RunPod does not know is gone, or the key is of another account."""
    timeout: float = 0.0
    """The program's customTimeouts in seconds; 0 when it sets none."""


@dataclass(frozen=True)
class Changes:
    """What differs, by input name."""

    updates: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.updates or self.replaces)


@dataclass(frozen=True)
class ReadResult:
    """What a read brought."""

    inputs: Values
    outputs: Values


class NotReadyError(RunPodError):
    """A resource exists and bills, but is not what was asked for yet; the engine records it as such."""

    def __init__(self, resource_id: str, outputs: Values, reason: str) -> None:
        super().__init__(reason)
        self.resource_id = resource_id
        self.outputs = outputs


class ResourceHandler(ABC):
    """A kind of resource; methods run in a thread of their own and may block."""

    token: str
    defaults: Mapping[str, Any]
    """Every input with its default; REQUIRED where there is none."""
    outputs: tuple[str, ...]
    """Properties beside the inputs."""
    secrets: frozenset[str] = frozenset()

    def check(self, operation: Operation, olds: Values, news: Values) -> tuple[Values, list[Failure]]:
        """Return the inputs with defaults filled in, and what is wrong with them."""
        wrong = [(name, f"{name} is not an input of {self.token}") for name in news if name not in self.defaults]
        filled = {n: news[n] if news.get(n) is not None else default for n, default in self.defaults.items()}
        wrong += [(name, f"{name} is required") for name, value in filled.items() if value is REQUIRED]
        inputs = {name: value for name, value in filled.items() if value is not REQUIRED}
        return (inputs, wrong) if wrong else self.validate(operation, olds, inputs)

    def validate(
        self,
        operation: Operation,  # noqa: ARG002 - for kinds that ask RunPod
        olds: Values,  # noqa: ARG002 - for kinds whose old inputs matter
        inputs: Values,
    ) -> tuple[Values, list[Failure]]:
        """Return the inputs in canonical form, and what is wrong with them."""
        return inputs, []

    @abstractmethod
    def diff(self, state: Values, inputs: Values) -> Changes:
        """Compare what is there with what is wanted."""

    def decide(self, operation: Operation, resource_id: str, state: Values, inputs: Values) -> Changes:  # noqa: ARG002
        """Return what an update has to do; may look at RunPod, and changes nothing.

        Raises:
            RunPodError: The plan would lose data or money and nobody has said that it may.
        """
        return self.diff(state, inputs)

    def preview_create(self, inputs: Values) -> Values:
        """Return the outputs as far as they are known before creation."""
        return {**inputs, **dict.fromkeys(self.outputs, UNKNOWN)}

    def preview_update(self, state: Values, inputs: Values) -> Values:
        """Return the outputs as far as they are known before an update."""
        return {**state, **inputs}

    @abstractmethod
    def create(self, operation: Operation, inputs: Values) -> tuple[str, Values]:
        """Make it; return id and outputs. Raises NotReadyError when it exists but is not usable."""

    def read(self, operation: Operation, resource_id: str, state: Values, inputs: Values) -> ReadResult | None:  # noqa: ARG002
        """Return what is really there; None when it is gone."""
        return ReadResult(inputs, state)

    @abstractmethod
    def update(self, operation: Operation, resource_id: str, state: Values, inputs: Values) -> Values:
        """Change it in place; return the outputs."""

    def delete(self, operation: Operation, resource_id: str, state: Values) -> None:  # noqa: B027
        """End it; returns only when it is gone for certain."""


REQUIRED = object()


class CancelToken:
    """Ends waits when the engine cancels (Ctrl-C)."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def request(self) -> None:
        """Make every wait, now and later, raise."""
        self._event.set()

    def check(self) -> None:
        """Raise StoppedError once a stop was requested."""
        if self._event.is_set():
            _stopped()

    def sleep(self, seconds: float) -> None:
        """Wait; raises StoppedError as soon as a stop is requested."""
        if self._event.wait(seconds):
            _stopped()


def token_of(urn: str) -> str:
    """Return the resource type in a URN, whose form is `urn:pulumi:stack::project::parents$type::name`."""
    return urn.split("::")[2].rsplit("$", maxsplit=1)[-1]


def _stopped() -> NoReturn:
    raise StoppedError("interrupted; run the same command again to go on, or `pulumi destroy` to end what exists")
