"""The progress of an installer run as JSON lines, in one file per run, which is read while it grows."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULT = "result"
"""Step name of a run's last line, whose state is DONE or FAILED."""

RUNNING, DONE, SKIPPED, WARNING, FAILED, LOST = "running", "done", "skipped", "warning", "failed", "lost"


class ProgressLog:
    """Appends complete lines; thread-safe."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()
        self._clock = clock

    def emit(self, step: str, state: str, detail: str = "", *, done: int = 0, total: int = 0) -> None:
        """Append one line; `done` and `total` are bytes, or 0."""
        self._append({"step": step, "state": state, "detail": detail, "bytes": done, "total": total})

    def finish(self, state: str, detail: str = "", result: dict[str, Any] | None = None) -> None:
        """Append the result as the last line."""
        self._append({"step": RESULT, "state": state, "detail": detail, "bytes": 0, "total": 0, "result": result or {}})
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _append(self, line: dict[str, Any]) -> None:
        with self._lock:
            self._file.write(json.dumps({"ts": round(self._clock(), 3)} | line) + "\n")
            self._file.flush()


def read_from(path: Path, offset: int) -> list[tuple[str, int]]:
    """Return the complete lines after a byte offset, each with the offset of the next line."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return []
    found = []
    for line in data[: data.rfind(b"\n") + 1].splitlines(keepends=True):
        offset += len(line)
        found.append((line.decode("utf-8").rstrip("\n"), offset))
    return found
