"""The record of a pod's container in the pod's directory."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network
from pathlib import Path

from tests.emulator.runtimes.namespace_processes import ProcessId


@dataclass(frozen=True)
class Record:
    """A container that was started; written before the start command runs, so that none runs unknown."""

    init: ProcessId
    """The start command, as the machine numbers it."""
    keeper: ProcessId
    link: str
    subnet: str
    started_at: float
    volume: str = ""
    """Name of the network volume that is served for it; empty where it has none, or a plain directory."""

    @property
    def network(self) -> IPv4Network:
        """The pod's own /30."""
        return IPv4Network(self.subnet)


def write(home: Path, record: Record) -> None:
    """Write the record in one step."""
    draft = home / "record.draft"
    draft.write_text(json.dumps(asdict(record)), encoding="utf-8")
    draft.replace(home / "record.json")


def read(home: Path) -> Record | None:
    """Return the record of the last start; None when there was none."""
    try:
        data = json.loads((home / "record.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return Record(**{**data, "init": ProcessId(**data["init"]), "keeper": ProcessId(**data["keeper"])})


def exit_code(home: Path) -> int | None:
    """Return how the start command ended, where its keeper lived to see it."""
    try:
        code = json.loads((home / "exit.json").read_text(encoding="utf-8"))["exit_code"]
    except FileNotFoundError:
        return None
    return int(code)
