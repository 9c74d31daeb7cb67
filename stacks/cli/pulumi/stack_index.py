"""Index of this project's stacks by their states: the owner of a pod or volume, and whether an update is running."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.naming import PROJECT
from components.runpod.state_file import backend_folder
from stacks.cli.checkout import Checkout
from stacks.cli.errors import CliError
from stacks.cli.pulumi import state_locks
from stacks.cli.pulumi.backend import is_service
from stacks.cli.pulumi.engine import Engine
from stacks.cli.pulumi.stack import deployment, full_name, instance_ids


@dataclass(frozen=True)
class IndexedStack:
    """A stack whose state was read."""

    name: str
    instances: frozenset[str]
    """Current and earlier instance ids: leftovers of a destroyed stack still belong to it."""
    ids: frozenset[str] = frozenset()
    """RunPod's ids of the resources in its state."""
    busy: bool = False
    """Whether an update is running, which may be creating resources that the state does not contain yet."""


@dataclass(frozen=True)
class StackIndex:
    """All stacks of the backend."""

    stacks: tuple[IndexedStack, ...]
    unreadable: tuple[str, ...] = ()
    """Stacks whose state could not be read."""

    def stack_of(self, instance: str | None) -> IndexedStack | None:
        """Return the stack of an instance id."""
        return next((stack for stack in self.stacks if instance in stack.instances), None)

    def holder_of(self, identity: str) -> IndexedStack | None:
        """Return the stack whose state contains a pod or volume."""
        return next((stack for stack in self.stacks if identity in stack.ids), None)

    def owners(self) -> dict[str, str]:
        """Return the stack's name by instance id."""
        return {instance: stack.name for stack in self.stacks for instance in stack.instances}


def read_index(engine: Engine) -> StackIndex:
    """Read the state of every stack of the project in the engine's backend; secrets stay encrypted.

    Raises:
        CliError: the backend does not list its stacks.
    """
    stacks, unreadable = [], []
    for entry in engine.query_json("stack", "ls", "--json"):
        name = str(entry["name"]).rpartition("/")[2]
        try:
            stacks.append(_read_stack(engine, str(entry["name"]), updating=bool(entry.get("updateInProgress"))))
        except (CliError, ValueError, KeyError, TypeError):
            unreadable.append(name)
    return StackIndex(tuple(stacks), tuple(unreadable))


def _read_stack(engine: Engine, listed: str, *, updating: bool) -> IndexedStack:
    name = listed.rpartition("/")[2]
    checkout = dataclasses.replace(engine.checkout, env=name)
    state = deployment(Engine(checkout, engine.environ, full_name(listed) if is_service(engine.environ) else ""))
    busy = updating or _is_locked(checkout, engine.environ, state)
    return index_state(name, state, past=past_instances(name, engine.environ), busy=busy)


def _is_locked(checkout: Checkout, environ: Mapping[str, str], state: Mapping[str, Any]) -> bool:
    folder = state_locks.folder(checkout, environ)
    # In other backends than files, a running creation looks like an interrupted one, so it counts as running.
    return bool(state_locks.active(folder)) if folder else bool(state.get("pending_operations"))


def index_state(name: str, state: Mapping[str, Any], *, past: Iterable[str] = (), busy: bool = False) -> IndexedStack:
    """Return the index entry of one state."""
    ids = (str(item["id"]) for item in state.get("resources") or [] if item.get("id"))
    return IndexedStack(name, frozenset(instance_ids(state)) | frozenset(past), frozenset(ids), busy)


def past_instances(name: str, environ: Mapping[str, str]) -> set[str]:
    """Return instance ids in a stack's earlier states; only a file backend keeps them."""
    backend = backend_folder(environ)
    found: set[str] = set()
    for file in (backend / ".pulumi" / "history" / PROJECT / name).glob("*.checkpoint.json") if backend else []:
        found |= _instances(file)
    return found


def _instances(file: Path) -> set[str]:
    try:
        checkpoint = json.loads(file.read_text()).get("checkpoint") or {}
    except (OSError, ValueError):
        return set()
    return instance_ids(checkpoint.get("latest") or {})
