"""The lease of a volume: one pod at a time may change it, without network file locks and synchronised clocks.

The owner rewrites a small file with an increasing counter. Another pod that reads the same counter for long enough, by
its own clock, takes over the lease. A restarted run on the same pod takes it at once: its predecessor is dead.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from provisioning.errors import InstallError
from provisioning.host.files import write

BEAT_SECONDS = 5.0
STALE_SECONDS = 45.0
"""Nine missed heartbeats: a network file system may stall although the owner is alive."""


@dataclass(frozen=True)
class LeaseRecord:
    """The content of the lease file."""

    owner: str
    token: str
    count: int


def read(path: Path) -> LeaseRecord | None:
    """Return the record of the holder; None when the file is missing or damaged."""
    try:
        return LeaseRecord(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


class Lease:
    """Context manager that acquires, renews and releases the lease.

    An owner that could not write for a while, because the volume stalled, may have lost it. So every heartbeat first
    checks the owner, and code that changes the volume calls `check`.
    """

    def __init__(self, path: Path, owner: str, *, waiting: Callable[[str], None], stale: float = STALE_SECONDS) -> None:
        self._path = path
        self._owner = owner
        self._token = secrets.token_hex(8)
        self._waiting = waiting
        self._stale = stale
        self._contended = False
        self._stop = threading.Event()
        self._lost = threading.Event()
        self._beaten = time.monotonic()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    def __enter__(self) -> Self:
        while True:
            self._wait_for_others()
            self._write(0)
            # Two pods that found it free both write; after a pause both read the last writer.
            self._stop.wait(min(1.0, self._stale / 4) if self._contended else 0.1)
            if self._is_ours():
                break
        self._beaten = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        # A stalled write must not delay the result.
        self._thread.join(timeout=self._stale)
        # A failed release does not change the result: others wait until the lease is stale.
        with suppress(OSError):
            if self._is_ours():
                self._path.unlink(missing_ok=True)

    def check(self) -> None:
        """Raise InstallError when another pod has the lease, or may have taken it."""
        if self._lost.is_set() or time.monotonic() - self._beaten > self._stale:
            raise InstallError(
                "another pod is installing on this volume, or the volume did not answer for "
                f"{self._stale:.0f} s; the installation stopped, run the command again"
            )

    def _is_ours(self) -> bool:
        beat = read(self._path)
        return beat is not None and beat.token == self._token

    def _wait_for_others(self) -> None:
        seen = read(self._path)
        since = time.monotonic()
        self._contended = seen is not None and seen.owner != self._owner
        while seen is not None and seen.owner != self._owner and time.monotonic() - since < self._stale:
            self._waiting(seen.owner)
            self._stop.wait(min(BEAT_SECONDS, self._stale / 4))
            now = read(self._path)
            if now != seen:
                seen, since = now, time.monotonic()

    def _write(self, count: int) -> None:
        write(self._path, json.dumps(asdict(LeaseRecord(self._owner, self._token, count))))

    def _beat(self) -> None:
        count = 0
        while not self._lost.is_set() and not self._stop.wait(min(BEAT_SECONDS, self._stale / 9)):
            count += 1
            # After an error the next heartbeat tries again; `check` measures how long the error lasts.
            with suppress(OSError):
                self._beat_once(count)

    def _beat_once(self, count: int) -> None:
        began = time.monotonic()
        found = read(self._path)
        if found is not None and found.token != self._token:
            self._lost.set()
            return
        self._write(count)
        self._beaten = began
