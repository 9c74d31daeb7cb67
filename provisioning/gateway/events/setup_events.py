"""Events about the installer, from the progress file that it writes on the volume."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

from provisioning.gateway.events.broadcast import Broadcast
from provisioning.progress import read_from

POLL_SECONDS = 1.0

MAX_LINES = 50
"""Most lines published per poll: the newest ones."""


class SetupLog:
    """Reads the progress file of the newest run, from where the last call ended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path: Path | None = None
        self._offset = 0

    def read(self) -> list[dict[str, Any]]:
        """Return the lines written since the last call; raises OSError."""
        newest = max(self._folder.glob("*/progress.jsonl"), key=lambda path: path.stat().st_mtime, default=None)
        if newest is None:
            return []
        if newest != self._path:
            self._path, self._offset = newest, 0
        found = read_from(newest, self._offset)
        if found:
            self._offset = found[-1][1]
        return [_document(newest.parent.name, text) for text, _ in found[-MAX_LINES:]]


def _document(run: str, text: str) -> dict[str, Any]:
    line = json.loads(text)
    return {"run": run} | {name: line.get(name) for name in ("ts", "step", "state", "detail", "bytes", "total")}


async def watch(folder: Path | None, broadcast: Broadcast, pause_seconds: float = POLL_SECONDS) -> None:
    """Publish the installer's progress from a folder until cancelled; return at once without a folder."""
    if folder is None:
        return
    log, first = SetupLog(folder), True
    while True:
        # In a thread, since the volume may be slow. A folder that cannot be read is treated as empty.
        with contextlib.suppress(OSError, ValueError):
            for line in await asyncio.to_thread(log.read):
                (broadcast.remember_setup if first else broadcast.publish_setup)(line)
        first = False
        await asyncio.sleep(pause_seconds)
