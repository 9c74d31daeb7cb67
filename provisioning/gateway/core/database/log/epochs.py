"""The folder of the log on the volume: one numbered folder, an epoch, for each start of a gateway.

`mkdir` gives an epoch to one gateway alone. Nobody else writes into it, but for a request beside it that asks for a
hand-over. The folders stay, nearly empty, so that whoever comes back after a long stall still finds a newer one.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from provisioning.gateway.core.database.log.volume_files import VolumeFiles

_EPOCH = re.compile(r"epoch-(\d{8,})")
_FILE = re.compile(r"(snapshot|log)-(\d{8,})")


class Liveness(NamedTuple):
    """What a gateway says of itself, again and again, while it lives."""

    raw: bytes
    """Changes with every sign of life."""
    pod_id: str
    at: float
    """Seconds since 1970, by that gateway's clock."""


class Epoch:
    """The folder of one start of a gateway."""

    def __init__(self, root: Path, number: int, volume: VolumeFiles) -> None:
        self.number = number
        self.path = root / f"epoch-{number:08}"
        self._root = root
        self._next = root / f"epoch-{number + 1:08}"
        self._volume = volume
        self._beats = 0

    def claim(self) -> None:
        """Make it; raises FileExistsError when another gateway has it."""
        self.path.mkdir(mode=0o777)  # as volume.MODE
        self._volume.sync_folder(self._root)

    def is_superseded(self) -> bool:
        """Say whether another gateway has begun a newer epoch; raises OSError when that cannot be known."""
        return self._volume.exists(self._next)

    def snapshot(self, generation: int) -> Path:
        """Return the place of a copy of the database."""
        return self.path / f"snapshot-{generation:08}"

    def log(self, generation: int) -> Path:
        """Return the place of the log that follows on a generation's copy."""
        return self.path / f"log-{generation:08}"

    def generations(self, kind: str) -> list[int]:
        """Return the numbers of the copies ("snapshot") or logs ("log") that there are, in order."""
        found = (_FILE.fullmatch(name) for name in _names(self.path))
        return sorted(int(name[2]) for name in found if name and name[1] == kind)

    def remove_before(self, generation: int) -> None:
        """Remove copies and logs that a newer copy has made useless."""
        # Logs last: a log without the copy before it is nothing that a reader begins with.
        for kind, place in (("snapshot", self.snapshot), ("log", self.log)):
            for number in self.generations(kind):
                if number < generation:
                    with suppress(OSError):
                        place(number).unlink()

    def beat(self, pod_id: str) -> None:
        """Say that its gateway lives; raises OSError."""
        self._beats += 1
        said = {"pod_id": pod_id, "at": time.time(), "count": self._beats}
        self._volume.put(self.path / "beat", json.dumps(said).encode())

    def liveness(self) -> Liveness | None:
        """Return the last sign of life; None when there was none yet. Raises OSError."""
        try:
            raw = (self.path / "beat").read_bytes()
        except FileNotFoundError:
            return None
        try:
            said = json.loads(raw)
            return Liveness(raw, str(said["pod_id"]), float(said["at"]))
        except (ValueError, KeyError, TypeError):
            return Liveness(raw, "", 0.0)

    def close(self) -> None:
        """Say that its gateway has ended in order and writes no more; raises OSError."""
        self._volume.put(self.path / "closed", b"")

    @property
    def is_closed(self) -> bool:
        """Whether its gateway has said so; raises OSError."""
        return self._volume.exists(self.path / "closed")

    def ask(self, pod_id: str) -> None:
        """Ask its gateway to end in order; raises OSError."""
        self._volume.put(self._request, pod_id.encode())

    @property
    def is_handover_requested(self) -> bool:
        """Whether another gateway has asked for that; raises OSError."""
        return self._volume.exists(self._request)

    @property
    def _request(self) -> Path:
        return self._root / f"handover-{self.number:08}"


class Epochs:
    """All of them."""

    def __init__(self, root: Path, volume: VolumeFiles | None = None) -> None:
        self.root = root
        self.volume = volume or VolumeFiles()

    def newest_first(self) -> list[Epoch]:
        """Return them, the newest first; raises OSError."""
        found = (_EPOCH.fullmatch(name) for name in _names(self.root))
        numbers = sorted((int(name[1]) for name in found if name), reverse=True)
        return [Epoch(self.root, number, self.volume) for number in numbers]

    def newest(self) -> Epoch | None:
        """Return the newest; None when no gateway has begun here."""
        return next(iter(self.newest_first()), None)

    def newest_with_database(self) -> Epoch | None:
        """Return the newest that holds a database; one that has only just begun, or was killed then, holds none."""
        return next((epoch for epoch in self.newest_first() if epoch.generations("snapshot")), None)

    def begin(self, pod_id: str) -> Epoch:
        """Begin a new one; raises FileExistsError when another gateway was faster."""
        # No more than these two: where the volume is missing, nothing is to be written on the disk below it.
        for folder in (self.root.parent, self.root):
            folder.mkdir(mode=0o777, exist_ok=True)  # as volume.MODE
        newest = self.newest()
        epoch = Epoch(self.root, newest.number + 1 if newest else 1, self.volume)
        epoch.claim()
        epoch.beat(pod_id)
        return epoch

    def forget_before(self, epoch: Epoch | None) -> None:
        """Remove what former epochs hold, or all of them; their folders stay."""
        for former in self.newest_first():
            if epoch is None or former.number < epoch.number:
                former.remove_before(max(former.generations("snapshot") + former.generations("log"), default=0) + 1)


def _names(folder: Path) -> Iterable[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
