"""Unfinished creations in the state: passed to the provider, removed after a successful update.

The engine records each creation in the shared state before it begins, and keeps the record of an interrupted one until
the state is rewritten. Rewriting can undo what another person has just saved, so it is done only after an own update,
and only if the state was not written since.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from components.runpod.state_file import PENDING, STATE_IDS
from stacks.cli.errors import CliError
from stacks.cli.pulumi.engine import Engine

_CREATING = "creating"
_PRECISION = timedelta(seconds=2)
"""The times in the history are whole seconds."""


@dataclass(frozen=True)
class PendingCreation:
    """A creation that was started."""

    urn: str
    instance: str
    """Instance id of its stack; empty when it has none."""
    since: float
    """When the state was last written, in seconds since 1970; the creation started then or later."""


def pending_creations(state: Mapping[str, Any]) -> list[PendingCreation]:
    """Return the unfinished creations in a state."""
    written = _written(state)
    since = written.timestamp() if written else 0.0
    noted = [entry.get("resource") or {} for entry in _pending(state)]
    return [PendingCreation(str(one.get("urn")), _instance(one), since) for one in noted if one.get("urn")]


def with_state_variables(engine: Engine, state: Mapping[str, Any]) -> Engine:
    """Return the engine with the unfinished creations and the ids in the state as variables for the provider.

    The provider reads a state in files itself; for any other backend it uses these variables.
    """
    begun = json.dumps([dataclasses.asdict(creation) for creation in pending_creations(state)])
    ids = json.dumps(sorted(str(one["id"]) for one in state.get("resources") or [] if one.get("id")))
    return dataclasses.replace(engine, environ={**engine.environ, PENDING: begun, STATE_IDS: ids})


def forget(engine: Engine, began: datetime) -> None:
    """Remove unfinished creations from the state after an own successful update that began at `began`.

    The provider has found what they created. If another run has started or written since, the records stay.

    A race of about a second remains between reading the history and `stack import` taking the stack's lock: an update
    that begins and ends within it is undone in the state. No backend prevents it: `stack import` compares no version on
    Pulumi Cloud, s3, gs or azblob, and the engine holds no lock over two commands. Resources that the state then lacks
    have the stack's marker; `make doctor` and `make sweep` show them with their cost.
    """
    document = engine.query_json("stack", "export")
    state = document.get("deployment") or {}
    if _pending(state) and is_ours(state, engine.query_json("stack", "history", "--json", "--page-size", "1"), began):
        _import(engine, document, len(_pending(state)))


def is_ours(state: Mapping[str, Any], history: Sequence[Mapping[str, Any]], began: datetime) -> bool:
    """Return whether the update that began then is the newest, and the state was not written after it."""
    started, ended = (_parse_time(history[0].get(name)) if history else None for name in ("startTime", "endTime"))
    written = _written(state)
    if started is None or ended is None or written is None:
        return False
    return started > began - _PRECISION and written < ended + _PRECISION


def _import(engine: Engine, document: Mapping[str, Any], count: int) -> None:
    """Import the state as it was read: the engine then drops the records; it refuses while the stack is locked."""
    descriptor, name = tempfile.mkstemp(suffix=".json", dir=engine.checkout.state)
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(document, file)
        engine.query("stack", "import", "--file", name)
    except CliError as error:
        print(f"{count} interrupted creation(s) stay in the state: {error}", flush=True)
    else:
        print(
            f"removed {count} interrupted creation(s) from the state; resources that they created were searched for",
            flush=True,
        )
    finally:
        Path(name).unlink()


def _pending(state: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    entries = state.get("pending_operations") or []
    return [entry for entry in entries if entry.get("type") == _CREATING]


def _written(state: Mapping[str, Any]) -> datetime | None:
    return _parse_time((state.get("manifest") or {}).get("time"))


def _parse_time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def _instance(resource: Mapping[str, Any]) -> str:
    return str((resource.get("inputs") or {}).get("guard") or "")
