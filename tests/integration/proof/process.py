"""The surroundings of one run of the provider: time, log and death."""

from __future__ import annotations

from dataclasses import dataclass, field

from components.runpod.plugin.base.resource import CancelToken
from tests.integration.proof.runpod import RunPod


class KilledError(BaseException):
    """SIGKILL: nothing below may catch it."""


class VirtualStop(CancelToken):
    """Waits pass on the emulator's clock."""

    def __init__(self, runpod: RunPod) -> None:
        super().__init__()
        self._runpod = runpod

    def sleep(self, seconds: float) -> None:
        self.check()
        self._runpod.pass_time(seconds)


@dataclass
class Screen:
    """What the commands have said, which is what a person knows."""

    said: list[str] = field(default_factory=list)

    def info(self, text: str) -> None:
        self.said.append(text)

    def status(self, text: str) -> None:
        """Nobody remembers what stood there for a moment."""

    def warning(self, text: str) -> None:
        self.said.append(text)


@dataclass(frozen=True)
class Death:
    """When the process ends: before so many calls, or after a creation at a step of the engine's own."""

    calls: int = -1
    """Calls that still go out; negative: it lives."""
    step: str = ""
    """`unsaved`: a creation was answered and not saved; `unacknowledged`: saved, and the provider not told."""
