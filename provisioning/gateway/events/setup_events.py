"""How far the installer is, from what it writes down on the volume while the gateway serves."""

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
"""Told of one look; an installer that wrote more is followed by its newest lines."""


class SetupLog:
    """Reads the newest run's progress, from where it was read last."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path: Path | None = None
        self._offset = 0

    def read(self) -> list[dict[str, Any]]:
        """Return the lines that came since the last call; raises OSError."""
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
    """Publish what the installer writes below a folder, until cancelled; nothing without a folder."""
    if folder is None:
        return
    log, first = SetupLog(folder), True
    while True:
        # On a thread, since the volume may be slow; a folder that cannot be read is empty.
        with contextlib.suppress(OSError, ValueError):
            for line in await asyncio.to_thread(log.read):
                (broadcast.remember_setup if first else broadcast.publish_setup)(line)
        first = False
        await asyncio.sleep(pause_seconds)
