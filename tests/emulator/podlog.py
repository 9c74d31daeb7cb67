"""Logs of pods: lines of the container and of RunPod, dated and numbered."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.emulator.clock import Clock, iso
from tests.emulator.runtimes import Runtime

KEPT = 5000
"""Lines a pod's log can be asked for; the document's upper bound of `tail`."""
LONGEST = 16 * 1024


@dataclass(frozen=True)
class Event:
    """A line of a pod's log."""

    seq: int
    ts: float
    source: str
    line: str
    end: int
    """Where the container's log has been read up to with this line, in bytes."""

    def encode(self) -> bytes:
        """Return the line as a server-sent event."""
        data = json.dumps({"ts": iso(self.ts), "source": self.source, "line": self.line})
        return f"id: {iso(self.ts)}/{self.seq:012d}\ndata: {data}\n\n".encode()


class PodLog:
    """One pod's log, kept in a file beside the state so that numbers and dates survive a restart."""

    def __init__(self, file: Path) -> None:
        self._file = file
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        self.events: deque[Event] = deque((Event(**json.loads(line)) for line in lines[-KEPT:]), maxlen=KEPT)
        self.last = self.events[-1].seq if self.events else 0
        self.offset = self.events[-1].end if self.events else 0

    def append(self, ts: float, source: str, lines: list[str], offset: int) -> None:
        """Add lines; `offset` is where the container's log has been read up to."""
        self.offset = offset
        with self._file.open("a", encoding="utf-8") as file:
            for line in lines:
                self.last += 1
                event = Event(self.last, ts, source, line[:LONGEST], offset)
                self.events.append(event)
                file.write(json.dumps(asdict(event)) + "\n")


class Logs:
    """The logs of all pods."""

    def __init__(self, directory: Path, runtime: Runtime, clock: Clock) -> None:
        self._directory = directory
        self._runtime = runtime
        self._clock = clock
        self.poll_seconds = 0.2
        """Between two looks at a log that a client follows."""
        self._logs: dict[str, PodLog] = {}

    def system(self, pod_id: str, line: str) -> None:
        """Add a line of RunPod's own."""
        log = self._log(pod_id)
        log.append(self._now(), "system", [line], log.offset)

    def collect(self, pod_id: str) -> None:
        """Read what the container has written since the last time."""
        log, path = self._log(pod_id), self._runtime.log_path(pod_id)
        try:
            with path.open("rb") as file:
                size = file.seek(0, 2)
                start = log.offset if log.offset <= size else 0
                file.seek(start)
                whole, newline, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return
        if newline:
            lines = whole.decode("utf-8", "replace").split("\n")
            log.append(self._now(), "container", lines, start + len(whole) + 1)

    def events(self, pod_id: str, source: str | None = None) -> list[Event]:
        """Return what is kept of a pod's log, of one source or of both."""
        return [event for event in self._log(pod_id).events if source in (None, event.source)]

    def forget(self, pod_id: str) -> None:
        """Drop the log of a pod that is gone."""
        self._logs.pop(pod_id, None)
        (self._directory / f"{pod_id}.jsonl").unlink(missing_ok=True)

    def _now(self) -> float:
        # As precise as it is sent: what a reader has seen can be told by the time it was given.
        return round(self._clock.now(), 3)

    def _log(self, pod_id: str) -> PodLog:
        if pod_id not in self._logs:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._logs[pod_id] = PodLog(self._directory / f"{pod_id}.jsonl")
        return self._logs[pod_id]
