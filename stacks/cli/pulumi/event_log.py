"""Steps and failures of an engine run, read from its event log."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stacks.cli.pulumi.engine import Engine


@dataclass(frozen=True)
class PlanStep:
    """One step of a plan."""

    op: str
    """The engine's operation: create, update, delete, replace, delete-replaced ..."""
    urn: str
    kind: str
    """Type token of the resource."""
    reasons: tuple[str, ...] = ()
    """Properties whose change causes the step."""
    old: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The resource in the state."""

    @property
    def name(self) -> str:
        """Logical name of the resource."""
        return self.urn.rpartition("::")[2]


@dataclass(frozen=True)
class Failure:
    """A failure of a run."""

    name: str
    """Logical name of the resource; empty when the failure concerns none."""
    reason: str
    """First line of the message."""


@dataclass(frozen=True)
class EventLog:
    """The event log of one run."""

    file: Path
    engine: Engine
    """The engine that writes it."""

    @property
    def arguments(self) -> tuple[str, ...]:
        """Arguments with which the engine writes the log."""
        return "--event-log", str(self.file)

    def steps(self) -> list[PlanStep]:
        """Return the steps in their order."""
        return [_step(event["resourcePreEvent"]["metadata"]) for event in self._events("resourcePreEvent")]

    def failures(self) -> list[Failure]:
        """Return the failures without duplicates."""
        said = [event["diagnosticEvent"] for event in self._events("diagnosticEvent")]
        errors = [one for one in said if one.get("severity") == "error"]
        return list(dict.fromkeys(_failure(one) for one in errors))

    def _events(self, kind: str) -> Iterator[dict[str, Any]]:
        if not self.file.exists():
            return
        for line in self.file.read_text(errors="replace").splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue  # the last line of an engine that was killed
            if isinstance(event, dict) and kind in event:
                yield event


@contextmanager
def recording(engine: Engine) -> Iterator[EventLog]:
    """Yield the log of a run that is about to start; it is deleted afterwards, because it contains the whole state."""
    # The engine enables `--event-log` only for programs that set this variable.
    writing = dataclasses.replace(engine, environ={**engine.environ, "PULUMI_DEBUG_COMMANDS": "true"})
    with tempfile.TemporaryDirectory(prefix="events-", dir=engine.checkout.state) as folder:
        yield EventLog(Path(folder) / "events.jsonl", writing)


def _step(metadata: Mapping[str, Any]) -> PlanStep:
    urn, changed = str(metadata["urn"]), metadata.get("detailedDiff") or {}
    replacing = [name for name, entry in changed.items() if "replace" in str(entry.get("diffKind"))]
    reasons = replacing or metadata.get("diffs") or []
    return PlanStep(
        str(metadata["op"]), urn, str(metadata.get("type") or ""), tuple(reasons), metadata.get("old") or {}
    )


def _failure(event: Mapping[str, Any]) -> Failure:
    lines = [line.strip() for line in str(event.get("message") or "").splitlines() if line.strip()]
    return Failure(str(event.get("urn") or "").rpartition("::")[2], lines[0] if lines else "no reason was given")
