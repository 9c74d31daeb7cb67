"""The behaviour of a network volume: files that the emulator writes and the volume's server reads."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

MODES = ("ignored", "obeyed")
LOCKS = ("kept", "refused")
ERRORS = ("EIO", "EDQUOT", "ENOSPC", "ESTALE")


@dataclass(frozen=True)
class Behaviour:
    """How a volume behaves until it is told otherwise; `modes` and `locks` hold from its next mount on."""

    modes: str = "ignored"
    """`ignored`: files show 0666 and folders 0777 whatever `chmod` says; `obeyed`: the modes count."""
    locks: str = "kept"
    """`kept`: file locks work, also between pods; `refused`: they answer ENOLCK."""
    quota_bytes: int = 0
    """Bytes of all files together at which a write answers EDQUOT; 0: no bound."""
    open_ms: float = 1.0
    """Milliseconds that opening or making a file takes."""
    eio_rate: float = 0.0
    """Share of reads, writes and fsyncs that answer EIO, from 0 to 1."""
    stall_rate: float = 0.0
    """Share of reads, writes and fsyncs that wait `stall_seconds` first, from 0 to 1."""
    stall_seconds: float = 30.0


@dataclass(frozen=True)
class Orders:
    """What a volume was told to do at once; `serial` tells an order that is given twice from one that stands."""

    serial: int = 0
    stalled_until: float = 0.0
    """Unix time before which every call on the volume waits."""
    failing_writes: int = 0
    """How many writes from now on fail."""
    error: str = "EIO"
    """What they answer."""


Kind = TypeVar("Kind", bound=Behaviour | Orders)


class Sheet(Generic[Kind]):
    """A file that holds one of the two, written in one step and read again only when it was written."""

    def __init__(self, path: Path, kind: type[Kind]) -> None:
        self._path = path
        self._kind = kind
        self._seen: tuple[int, int] = (0, 0)
        self._content: Kind = kind()

    def write(self, content: Kind) -> None:
        """Replace the content."""
        draft = self._path.with_suffix(".draft")
        draft.write_text(json.dumps(asdict(content)), encoding="utf-8")
        draft.replace(self._path)

    def read(self) -> Kind:
        """Return the content; the defaults where nothing was written."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return self._content
        seen = (status.st_mtime_ns, status.st_ino)
        if seen != self._seen:
            self._content, self._seen = self._parse(), seen
        return self._content

    def _parse(self) -> Kind:
        raw: dict[str, Any] = json.loads(self._path.read_text(encoding="utf-8"))
        known = {item.name for item in fields(self._kind)}
        # A server may be older or newer than the emulator that writes: it outlives it.
        return self._kind(**{name: value for name, value in raw.items() if name in known})


@dataclass(frozen=True)
class Home:
    """What lies beside a volume on the machine while it is served."""

    directory: Path

    @property
    def files(self) -> Path:
        """Where the server mounts the volume, in its own mount namespace."""
        return self.directory / "mount"

    @property
    def record(self) -> Path:
        """Which process serves the volume, and how it mounted it."""
        return self.directory / "record.json"

    @property
    def log(self) -> Path:
        """What the server had to complain about."""
        return self.directory / "log"

    def behaviour(self) -> Sheet[Behaviour]:
        """How the volume behaves."""
        return Sheet(self.directory / "behaviour.json", Behaviour)

    def orders(self) -> Sheet[Orders]:
        """What the volume was told to do at once."""
        return Sheet(self.directory / "orders.json", Orders)
