"""Base class of the resources, and the context of one engine request."""

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
"""An input's name and its fault."""


class Reporter(Protocol):
    """Receiver of messages to the user."""

    def info(self, text: str) -> None:
        """Show a line that stays."""

    def status(self, text: str) -> None:
        """Show what is being waited for."""

    def warning(self, text: str) -> None:
        """Show a warning."""


@dataclass(frozen=True)
class ProviderOperation:
    """The context of one engine request; clocks are injected."""

    urn: str
    settings: ProviderSettings
    client: Callable[[], Client]
    """Returns the client; raises NoKeyError without an API key."""
    reporter: Reporter
    intents: Intents
    sleep: Callable[[float], None]
    clock: Callable[[], float]
    ids_in_state: frozenset[str] = frozenset()
    """Ids of this resource in the engine's state: read there, or known from the engine's requests."""
    state_was_read: bool = False
    """Whether these are all ids; otherwise the state may contain more."""
    wall: Callable[[], float] = time.time
    """Returns seconds since 1970, for comparison with the state of an earlier run."""
    pending: Mapping[str, float] = field(default_factory=dict)
    """Start times of unfinished creations of the stack by URN, in seconds since 1970; 0 when unknown."""
    saved_ids: Callable[[], frozenset[str] | None] = lambda: None
    """Returns every id in the engine's current state; None when it cannot be read."""
    stack_files: StackFiles = NO_STACK_FILES
    """The stack files, for deletions that cannot be undone."""
    ids_of_stack: Callable[[], frozenset[str]] = frozenset
    """Returns the known ids in the engine's current state."""
    account: AccountCheck = field(default_factory=AccountCheck)
    """Decides whether an unknown id is deleted or the key belongs to another account."""
    timeout: float = 0.0
    """The program's customTimeouts in seconds; 0 when it sets none."""


@dataclass(frozen=True)
class Changes:
    """Changed inputs, by name."""

    updates: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.updates or self.replaces)


@dataclass(frozen=True)
class ReadResult:
    """The result of a read."""

    inputs: Values
    outputs: Values


class NotReadyError(RunPodError):
    """A resource exists and is billed, but is not ready yet; the engine records it as partially created."""

    def __init__(self, resource_id: str, outputs: Values, reason: str) -> None:
        super().__init__(reason)
        self.resource_id = resource_id
        self.outputs = outputs


class ResourceHandler(ABC):
    """The handler of one resource type; its methods run in a worker thread and may block."""

    token: str
    defaults: Mapping[str, Any]
    """Every input with its default, or REQUIRED."""
    outputs: tuple[str, ...]
    """Properties in addition to the inputs."""
    secrets: frozenset[str] = frozenset()

    def check(self, operation: ProviderOperation, olds: Values, news: Values) -> tuple[Values, list[Failure]]:
        """Return the inputs with defaults, and their faults."""
        wrong = [(name, f"{name} is not an input of {self.token}") for name in news if name not in self.defaults]
        filled = {n: news[n] if news.get(n) is not None else default for n, default in self.defaults.items()}
        wrong += [(name, f"{name} is required") for name, value in filled.items() if value is REQUIRED]
        inputs = {name: value for name, value in filled.items() if value is not REQUIRED}
        return (inputs, wrong) if wrong else self.validate(operation, olds, inputs)

    def validate(
        self,
        operation: ProviderOperation,  # noqa: ARG002 - for kinds that ask RunPod
        olds: Values,  # noqa: ARG002 - for kinds whose old inputs matter
        inputs: Values,
    ) -> tuple[Values, list[Failure]]:
        """Return the inputs in canonical form, and their faults."""
        return inputs, []

    @abstractmethod
    def diff(self, state: Values, inputs: Values) -> Changes:
        """Compare the state with the inputs."""

    def decide(self, operation: ProviderOperation, resource_id: str, state: Values, inputs: Values) -> Changes:  # noqa: ARG002
        """Return the changes that an update has to make; may query RunPod, and changes nothing.

        Raises:
            RunPodError: The plan would lose data or money without permission.
        """
        return self.diff(state, inputs)

    def preview_create(self, inputs: Values) -> Values:
        """Return the outputs that are known before creation."""
        return {**inputs, **dict.fromkeys(self.outputs, UNKNOWN)}

    def preview_update(self, state: Values, inputs: Values) -> Values:
        """Return the outputs that are known before an update."""
        return {**state, **inputs}

    @abstractmethod
    def create(self, operation: ProviderOperation, inputs: Values) -> tuple[str, Values]:
        """Create the resource; return id and outputs. Raises NotReadyError when it exists but is not usable."""

    def read(self, operation: ProviderOperation, resource_id: str, state: Values, inputs: Values) -> ReadResult | None:  # noqa: ARG002
        """Return the actual resource; None when it is deleted."""
        return ReadResult(inputs, state)

    @abstractmethod
    def update(self, operation: ProviderOperation, resource_id: str, state: Values, inputs: Values) -> Values:
        """Update the resource in place; return the outputs."""

    def delete(self, operation: ProviderOperation, resource_id: str, state: Values) -> None:  # noqa: B027
        """Delete the resource; return only when it is certainly deleted."""


REQUIRED = object()


class CancelToken:
    """Ends waits when the engine cancels (Ctrl-C)."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def request(self) -> None:
        """Make every current and future wait raise StoppedError."""
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
    raise StoppedError(
        "interrupted; run the same command again to continue, or `pulumi destroy` to delete the resources"
    )
