"""The right to change a volume: one pod at a time, without trusting the network file system's locks or two clocks.

The owner rewrites a small file with a growing counter. Another pod that sees the same counter for long enough, by its
own clock, takes the lease over. A restarted job on the same pod takes it at once: its predecessor is known to be dead.
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
"""Nine missed beats: a network file system may stall for a while without its writer being dead."""


@dataclass(frozen=True)
class Beat:
    """One writing of the lease."""

    owner: str
    token: str
    count: int


def read(path: Path) -> Beat | None:
    """Return who holds the lease; None when nobody does or nobody can tell."""
    try:
        return Beat(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


class Lease:
    """Context manager that waits for the lease, keeps it beating, and gives it back.

    Who could not write for a while, because the volume stalled, may have lost it meanwhile. So every beat first looks
    whose it is, and work that changes the volume calls `check` as it goes on.
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
            # Two pods that saw it free write one after the other; after a pause both read whose came last.
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
        # A write that the volume holds up does not hold up the result.
        self._thread.join(timeout=self._stale)
        # Whether it can be given back or not, what the work came to stands: others wait until it is stale.
        with suppress(OSError):
            if self._is_ours():
                self._path.unlink(missing_ok=True)

    def check(self) -> None:
        """Raise InstallError when another pod has the lease, or could have taken it by now."""
        if self._lost.is_set() or time.monotonic() - self._beaten > self._stale:
            raise InstallError(
                "another pod is installing on this volume, or the volume did not answer for "
                f"{self._stale:.0f} s; nothing more was changed, run the command again"
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
        write(self._path, json.dumps(asdict(Beat(self._owner, self._token, count))))

    def _beat(self) -> None:
        count = 0
        while not self._lost.is_set() and not self._stop.wait(min(BEAT_SECONDS, self._stale / 9)):
            count += 1
            # A volume that answers with an error is asked again at the next beat; `check` counts how long it lasts.
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
