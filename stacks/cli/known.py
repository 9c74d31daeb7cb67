"""What the states of this project's stacks know: whose a pod or volume is, and whether someone works on it now."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.runpod.checkpoint import backend_folder
from stacks.cli import locks
from stacks.cli.backend import is_service
from stacks.cli.engine import Engine
from stacks.cli.errors import CliError
from stacks.cli.place import PROJECT, Place
from stacks.cli.stack import deployment, full_name, instance_ids


@dataclass(frozen=True)
class KnownStack:
    """One stack whose state was read."""

    name: str
    instances: frozenset[str]
    """Instance ids it has or had: what a destroyed stack left behind is still its own."""
    ids: frozenset[str] = frozenset()
    """What RunPod calls the things in its state."""
    busy: bool = False
    """An update is under way, so what the state does not hold yet may be in the making."""


@dataclass(frozen=True)
class Known:
    """All stacks of the backend."""

    stacks: tuple[KnownStack, ...]
    unreadable: tuple[str, ...] = ()
    """Stacks that are there and whose state could not be read."""

    def stack_of(self, instance: str | None) -> KnownStack | None:
        """The stack that an instance id belongs to."""
        return next((stack for stack in self.stacks if instance in stack.instances), None)

    def holder_of(self, identity: str) -> KnownStack | None:
        """The stack whose state holds a pod or volume."""
        return next((stack for stack in self.stacks if identity in stack.ids), None)

    def owners(self) -> dict[str, str]:
        """Stack by instance id."""
        return {instance: stack.name for stack in self.stacks for instance in stack.instances}


def read(engine: Engine) -> Known:
    """Read the state of every stack of the project in the engine's backend; secrets stay encrypted.

    Raises:
        CliError: the backend does not say which stacks there are.
    """
    stacks, unreadable = [], []
    for entry in engine.ask_json("stack", "ls", "--json"):
        name = str(entry["name"]).rpartition("/")[2]
        try:
            stacks.append(_read(engine, str(entry["name"]), updating=bool(entry.get("updateInProgress"))))
        except (CliError, ValueError, KeyError, TypeError):
            unreadable.append(name)
    return Known(tuple(stacks), tuple(unreadable))


def _read(engine: Engine, listed: str, *, updating: bool) -> KnownStack:
    name = listed.rpartition("/")[2]
    place = dataclasses.replace(engine.place, env=name)
    state = deployment(Engine(place, engine.environ, full_name(listed) if is_service(engine.environ) else ""))
    busy = updating or _is_locked(place, engine.environ, state)
    return of_state(name, state, past=past_instances(name, engine.environ), busy=busy)


def _is_locked(place: Place, environ: Mapping[str, str], state: Mapping[str, Any]) -> bool:
    folder = locks.folder(place, environ)
    # Elsewhere than in files, a creation that is under way looks like one that was killed; so it counts as the former.
    return bool(locks.living(folder)) if folder else bool(state.get("pending_operations"))


def of_state(name: str, state: Mapping[str, Any], *, past: Iterable[str] = (), busy: bool = False) -> KnownStack:
    """What one state document knows."""
    ids = (str(item["id"]) for item in state.get("resources") or [] if item.get("id"))
    return KnownStack(name, frozenset(instance_ids(state)) | frozenset(past), frozenset(ids), busy)


def past_instances(name: str, environ: Mapping[str, str]) -> set[str]:
    """Instance ids in a stack's earlier states; a file backend keeps them, of another kind none are known."""
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
