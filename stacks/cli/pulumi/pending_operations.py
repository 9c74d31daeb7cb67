"""Unfinished creations in the state: passed to the provider, removed after a successful update.

The engine notes each creation before it begins, in the state that all machines share, and keeps the note of one that
was killed until somebody rewrites the state. A rewriting command of one person can undo what another has just saved,
so it is done by nobody who only looks, after our own update, and only if nobody has written since.
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
"""The history has whole seconds."""


@dataclass(frozen=True)
class PendingCreation:
    """One creation that was begun."""

    urn: str
    instance: str
    """Instance id of the stack that it belongs to; empty where it has none."""
    since: float
    """When the state was last written, seconds since 1970: the creation was begun at that moment or later."""


def pending_creations(state: Mapping[str, Any]) -> list[PendingCreation]:
    """Return the creations that a state calls unfinished."""
    written = _written(state)
    since = written.timestamp() if written else 0.0
    noted = [entry.get("resource") or {} for entry in _pending(state)]
    return [PendingCreation(str(one.get("urn")), _instance(one), since) for one in noted if one.get("urn")]


def with_state_variables(engine: Engine, state: Mapping[str, Any]) -> Engine:
    """Return the engine with the unfinished creations, and the ids that the state holds, in the provider's environment.

    The provider reads a state in files itself; of any other backend it knows what it is told.
    """
    begun = json.dumps([dataclasses.asdict(creation) for creation in pending_creations(state)])
    ids = json.dumps(sorted(str(one["id"]) for one in state.get("resources") or [] if one.get("id")))
    return dataclasses.replace(engine, environ={**engine.environ, PENDING: begun, STATE_IDS: ids})


def forget(engine: Engine, began: datetime) -> None:
    """Forget unfinished creations after an update of ours that went through and began then.

    The provider has found what they made. Where another run has begun or written since, the notes stay for its end.

    A window of about a second is left between the look at the history and the moment in which `stack import` has the
    stack's lock: an update that both begins and ends in it is undone in the state. No backend closes it: `stack import`
    compares no version on Pulumi Cloud, s3, gs or azblob, and no lock of the engine's is held over two commands. What
    the state then lacks carries the stack's mark; `make doctor` and `make sweep` show it with what it costs.
    """
    document = engine.ask_json("stack", "export")
    state = document.get("deployment") or {}
    if _pending(state) and is_ours(state, engine.ask_json("stack", "history", "--json", "--page-size", "1"), began):
        _import(engine, document, len(_pending(state)))


def is_ours(state: Mapping[str, Any], history: Sequence[Mapping[str, Any]], began: datetime) -> bool:
    """Return whether the update that began here then is the newest, and nobody has written to the state after it."""
    started, ended = (_parse_time(history[0].get(name)) if history else None for name in ("startTime", "endTime"))
    written = _written(state)
    if started is None or ended is None or written is None:
        return False
    return started > began - _PRECISION and written < ended + _PRECISION


def _import(engine: Engine, document: Mapping[str, Any], count: int) -> None:
    """Import the state as it was read: the engine drops the notes then, and refuses while somebody has the lock."""
    descriptor, name = tempfile.mkstemp(suffix=".json", dir=engine.checkout.state)
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(document, file)
        engine.ask("stack", "import", "--file", name)
    except CliError as error:
        print(f"{count} interrupted creation(s) stay in the state for now: {error}", flush=True)
    else:
        print(f"forgot {count} interrupted creation(s); what they created was searched for", flush=True)
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
