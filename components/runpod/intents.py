"""Write-ahead records of creations that the engine's state may not contain yet.

The engine records a resource only after create returned. So a record is written and fsynced before the POST, and it is
closed once the engine has the resource in its state.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from components.runpod.marker import Marker, parse, urn_hash


@dataclass(frozen=True)
class Intent:
    """The record of one creation."""

    marker: str
    urn: str
    posted_at: float
    """Time of the latest POST, in seconds since 1970; the wait for a late effect starts then."""
    resource_id: str = ""
    """RunPod's id; empty before an answer arrived."""
    in_state: bool = False
    """Whether the engine has the resource, so that it is never adopted again; kept until the resource is deleted."""

    @property
    def parsed(self) -> Marker:
        """The marker in parts; raises ValueError on a damaged record."""
        marker = parse(self.marker)
        if marker is None:
            raise ValueError(f"intent record with the marker {self.marker!r}")
        return marker


class Intents:
    """The intents of one checkout, in one file each."""

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._now = now

    def post(self, marker: Marker, urn: str) -> Intent:
        """Record on disk that a POST with this marker is about to be sent."""
        intent = Intent(str(marker), urn, self._now())
        self._write(intent)
        return intent

    def placed(self, intent: Intent, resource_id: str) -> None:
        """Record the id from the POST's answer or from a later lookup."""
        self._write(replace(intent, resource_id=resource_id))

    def mark_movable(self, volume_id: str) -> None:
        """Record that no pod is available in a volume's data centre."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._movable_file(volume_id).touch()

    def is_movable(self, volume_id: str) -> bool:
        """Return whether no pod was available in a volume's data centre."""
        return self._movable_file(volume_id).exists()

    def any_movable(self) -> bool:
        """Return whether any such volume is recorded."""
        return any(self._folder.glob("*.trap"))

    def seen_in_state(self, resource_id: str) -> None:
        """Record that the engine's state contains this resource."""
        for intent in self._all():
            if intent.resource_id == resource_id and not intent.in_state:
                self._write(replace(intent, in_state=True))

    def forget(self, resource_id: str) -> None:
        """Drop the records of a resource that is certainly deleted."""
        self._movable_file(resource_id).unlink(missing_ok=True)
        for intent in self._all():
            if intent.resource_id == resource_id:
                self.drop(intent)

    def drop(self, intent: Intent) -> None:
        """Drop one record."""
        self._path(intent.marker).unlink(missing_ok=True)

    def drop_marker(self, marker: Marker) -> None:
        """Drop the record of a creation that certainly had no effect."""
        self._path(str(marker)).unlink(missing_ok=True)

    def drop_instance(self, instance: str) -> None:
        """Drop every record of a deleted stack instance."""
        for intent in self.of_instance(instance):
            self.drop(intent)

    def of(self, instance: str, urn: str) -> list[Intent]:
        """Return the records of one declared resource."""
        wanted = (instance, urn_hash(urn))
        return [i for i in self._all() if (i.parsed.instance, i.parsed.urn) == wanted]

    def of_instance(self, instance: str) -> list[Intent]:
        """Return the records of one stack instance."""
        return [intent for intent in self._all() if intent.parsed.instance == instance]

    def age(self, intent: Intent) -> float:
        """Return the seconds since the latest POST."""
        return max(0.0, self._now() - intent.posted_at)

    def _movable_file(self, volume_id: str) -> Path:
        return self._folder / f"{volume_id}.trap"

    def _all(self) -> list[Intent]:
        files = sorted(self._folder.glob("*.json"))
        return [intent for file in files if (intent := _read(file)) is not None]

    def _path(self, marker: str) -> Path:
        return self._folder / f"{marker}.json"

    def _write(self, intent: Intent) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(intent.marker)
        partial = path.with_suffix(f".{os.getpid()}.part")
        with partial.open("w", encoding="utf-8") as file:
            json.dump(asdict(intent), file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_folder(self._folder)


def _read(file: Path) -> Intent | None:
    """Read a record; None when it is damaged or was removed concurrently."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        intent = Intent(**{name: content[name] for name in Intent.__annotations__ if name in content})
        return intent if parse(intent.marker) else None
    except (OSError, ValueError, TypeError):
        return None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
