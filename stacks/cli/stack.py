"""The stack behind an environment: made when missing, freed of what a killed run left."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stacks.cli import locks
from stacks.cli.engine import Engine
from stacks.cli.errors import CliError

GUARD = "runpod:index:StackGuard"
POD = "runpod:index:Pod"
VOLUME = "runpod:index:NetworkVolume"
STACK = "pulumi:pulumi:Stack"


def exists(engine: Engine) -> bool:
    """Whether the backend knows the stack."""
    listed = engine.ask_json("stack", "ls", "--json")
    return any(entry["name"].rpartition("/")[2] == engine.place.env for entry in listed)


def ensure(engine: Engine) -> None:
    """Make the stack if it is missing: without one the engine reads no settings."""
    if not exists(engine):
        engine.ask("stack", "init")


def prepare(engine: Engine) -> None:
    """Break a dead run's lock, make the stack if it is missing, and drop operations that a killed run left pending."""
    for lock in locks.break_stale_of(engine.place, engine.environ):
        print(f"removed the lock of a run that was killed ({lock.name})", flush=True)
    if not exists(engine):
        print(f"making the stack {engine.place.env}", flush=True)
        engine.ask("stack", "init")
    _forget_pending(engine)


def deployment(engine: Engine, *, secrets: bool = False) -> dict[str, Any]:
    """The state as the engine exports it; secrets in clear only when asked for."""
    document = engine.ask_json("stack", "export", *(["--show-secrets"] if secrets else []))
    return dict(document.get("deployment") or {})


def resources(state: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    """The state's resources of one type."""
    return [item for item in state.get("resources") or [] if item.get("type") == kind]


def instance_ids(state: Mapping[str, Any]) -> set[str]:
    """The random ids that mark what belongs to the stack."""
    outputs = (guard.get("outputs") or {} for guard in resources(state, GUARD))
    return {found["instanceId"] for found in outputs if "instanceId" in found}


def clear(value: Any) -> str:  # noqa: ANN401  (a property of the state)
    """A property as text; the engine exports a secret in clear as an object that holds its JSON."""
    if isinstance(value, dict) and "plaintext" in value:
        return str(json.loads(value["plaintext"]))
    return str(value)


def _forget_pending(engine: Engine) -> None:
    """Import the state without the operations a killed run began.

    They would stay for ever as a warning; what was really made is found by its marker and adopted by the provider.
    """
    pending = deployment(engine).get("pending_operations") or []
    if not pending:
        return
    print(f"forgetting {len(pending)} interrupted operation(s); the provider looks for what they made", flush=True)
    descriptor, name = tempfile.mkstemp(suffix=".json", dir=engine.place.state)
    os.close(descriptor)
    try:
        engine.ask("stack", "export", "--file", name)
        engine.ask("stack", "import", "--file", name)  # the engine drops pending operations on import
    finally:
        Path(name).unlink()
    if deployment(engine).get("pending_operations"):
        raise CliError(f"interrupted operations stay in the state of {engine.place.env}; see `pulumi refresh`")
