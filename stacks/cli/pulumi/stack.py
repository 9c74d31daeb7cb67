"""The stack of an environment: its name, its creation, and its state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from components.naming import PROJECT
from stacks.cli.pulumi import backend, state_locks
from stacks.cli.pulumi.engine import Engine

GUARD = "runpod:index:StackGuard"
POD = "runpod:index:Pod"
VOLUME = "runpod:index:NetworkVolume"
STACK = "pulumi:pulumi:Stack"


def names(engine: Engine) -> list[str]:
    """Return the names of the project's stacks in the backend, without the default organisation's name."""
    return [str(entry["name"]) for entry in engine.query_json("stack", "ls", "--json")]


def full_name(name: str) -> str:
    """Return a listed name with the project; a name of the default organisation stays as it is."""
    organisation, _, rest = name.partition("/")
    return name if "/" in rest or not rest else f"{organisation}/{PROJECT}/{rest}"


def exists(engine: Engine) -> bool:
    """Return whether the stack exists in the backend."""
    if engine.stack:
        return engine.stack in {full_name(name) for name in names(engine)}
    return any(name.rpartition("/")[2] == engine.checkout.env for name in names(engine))


def ensure(engine: Engine, secrets_provider: str = "") -> bool:
    """Create the stack if it is missing, because the engine needs one to read settings; return whether it was missing.

    The key service given here or in the stack file encrypts its secrets; otherwise the backend's default does.
    """
    if exists(engine):
        return False
    provider = secrets_provider or backend.secrets_provider(engine.checkout)
    engine.query("stack", "init", *(["--secrets-provider", provider] if provider else []))
    return True


def prepare(engine: Engine) -> None:
    """Remove the lock of a killed run and create the stack if it is missing; the state is not changed."""
    for lock in state_locks.break_stale_of(engine.checkout, engine.environ):
        print(f"removed the lock of a run that was killed ({lock.name})", flush=True)
    if ensure(engine):
        print(f"created the stack {engine.stack or engine.checkout.env}", flush=True)


def deployment(engine: Engine, *, secrets: bool = False) -> dict[str, Any]:
    """Return the state as the engine exports it, with decrypted secrets on request."""
    document = engine.query_json("stack", "export", *(["--show-secrets"] if secrets else []))
    return dict(document.get("deployment") or {})


def resources(state: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    """Return the state's resources of one type."""
    return [item for item in state.get("resources") or [] if item.get("type") == kind]


def volume_center(state: Mapping[str, Any]) -> str:
    """Return the data centre of the stack's volume, where the pod has to be; empty without a volume."""
    outputs = (item.get("outputs") or {} for item in resources(state, VOLUME))
    return next((str(found["dataCenterId"]) for found in outputs if found.get("dataCenterId")), "")


def instance_ids(state: Mapping[str, Any]) -> set[str]:
    """Return the stack's instance ids, which its resources have in their markers."""
    outputs = (guard.get("outputs") or {} for guard in resources(state, GUARD))
    return {found["instanceId"] for found in outputs if "instanceId" in found}


def clear(value: Any) -> str:  # noqa: ANN401  (a property of the state)
    """Return a property as text; the engine exports a decrypted secret as an object with its JSON."""
    if isinstance(value, dict) and "plaintext" in value:
        return str(json.loads(value["plaintext"]))
    return str(value)
