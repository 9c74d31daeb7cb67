"""The folder of the log on the volume: one numbered folder, an epoch, for each start of a gateway.

`mkdir` is atomic, so that each epoch belongs to one gateway, the only one that writes into it. Other gateways only
write a handover request beside it. The folders stay, nearly empty, so that a gateway that resumes after a long stall
finds the newer one.
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
    """A heartbeat of a gateway."""

    raw: bytes
    """The content of the file; differs for every heartbeat."""
    pod_id: str
    at: float
    """Seconds since the epoch, by that gateway's clock."""


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
        """Create the folder; raises FileExistsError when another gateway has the epoch."""
        self.path.mkdir(mode=0o777)  # as volume.MODE
        self._volume.sync_folder(self._root)

    def is_superseded(self) -> bool:
        """Return whether another gateway has begun a newer epoch; raises OSError when that cannot be checked."""
        return self._volume.exists(self._next)

    def snapshot(self, generation: int) -> Path:
        """Return the path of a generation's database snapshot."""
        return self.path / f"snapshot-{generation:08}"

    def log(self, generation: int) -> Path:
        """Return the path of the log that follows a generation's snapshot."""
        return self.path / f"log-{generation:08}"

    def generations(self, kind: str) -> list[int]:
        """Return the numbers of the existing files of a kind, "snapshot" or "log", in ascending order."""
        found = (_FILE.fullmatch(name) for name in _names(self.path))
        return sorted(int(name[2]) for name in found if name and name[1] == kind)

    def remove_before(self, generation: int) -> None:
        """Remove snapshots and logs that a newer snapshot has made obsolete."""
        # Logs last: readers begin with a snapshot, so that a log without one is ignored.
        for kind, place in (("snapshot", self.snapshot), ("log", self.log)):
            for number in self.generations(kind):
                if number < generation:
                    with suppress(OSError):
                        place(number).unlink()

    def beat(self, pod_id: str) -> None:
        """Write a heartbeat; raises OSError."""
        self._beats += 1
        said = {"pod_id": pod_id, "at": time.time(), "count": self._beats}
        self._volume.put(self.path / "beat", json.dumps(said).encode())

    def liveness(self) -> Liveness | None:
        """Return the last heartbeat; None when there is none. Raises OSError."""
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
        """Record that the epoch's gateway has shut down cleanly and writes no more; raises OSError."""
        self._volume.put(self.path / "closed", b"")

    @property
    def is_closed(self) -> bool:
        """Whether the epoch's gateway has shut down cleanly; raises OSError."""
        return self._volume.exists(self.path / "closed")

    def ask(self, pod_id: str) -> None:
        """Request a handover from the epoch's gateway; raises OSError."""
        self._volume.put(self._request, pod_id.encode())

    @property
    def is_handover_requested(self) -> bool:
        """Whether another gateway has requested a handover; raises OSError."""
        return self._volume.exists(self._request)

    @property
    def _request(self) -> Path:
        return self._root / f"handover-{self.number:08}"


class Epochs:
    """The epochs in a folder."""

    def __init__(self, root: Path, volume: VolumeFiles | None = None) -> None:
        self.root = root
        self.volume = volume or VolumeFiles()

    def newest_first(self) -> list[Epoch]:
        """Return the epochs, newest first; raises OSError."""
        found = (_EPOCH.fullmatch(name) for name in _names(self.root))
        numbers = sorted((int(name[1]) for name in found if name), reverse=True)
        return [Epoch(self.root, number, self.volume) for number in numbers]

    def newest(self) -> Epoch | None:
        """Return the newest epoch; None when there is none."""
        return next(iter(self.newest_first()), None)

    def newest_with_database(self) -> Epoch | None:
        """Return the newest epoch with a snapshot; an epoch whose gateway was killed at its start has none."""
        return next((epoch for epoch in self.newest_first() if epoch.generations("snapshot")), None)

    def begin(self, pod_id: str) -> Epoch:
        """Begin a new epoch; raises FileExistsError when another gateway was faster."""
        # Only these two folders: when the volume is not mounted, nothing may be written to the disk below.
        for folder in (self.root.parent, self.root):
            folder.mkdir(mode=0o777, exist_ok=True)  # as volume.MODE
        newest = self.newest()
        epoch = Epoch(self.root, newest.number + 1 if newest else 1, self.volume)
        epoch.claim()
        epoch.beat(pod_id)
        return epoch

    def forget_before(self, epoch: Epoch | None) -> None:
        """Remove the content of the epochs before `epoch`, or of all of them when it is None; the folders stay."""
        for former in self.newest_first():
            if epoch is None or former.number < epoch.number:
                former.remove_before(max(former.generations("snapshot") + former.generations("log"), default=0) + 1)


def _names(folder: Path) -> Iterable[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
