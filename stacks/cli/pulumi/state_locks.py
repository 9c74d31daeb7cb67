"""Stack locks, and removal of those that killed engine runs left."""

from __future__ import annotations

import getpass
import json
import os
import re
import socket
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from components.naming import PROJECT
from components.runpod.state_file import backend_folder
from stacks.cli.checkout import Checkout
from stacks.cli.pulumi.engine import Engine

_HOLDER = re.compile(r"created by (\S+)@(\S+) \(pid (\d+)\)")


def folder(checkout: Checkout, environ: Mapping[str, str]) -> Path | None:
    """Return the folder of this stack's locks; None for other backends, which manage their locks themselves."""
    root = backend_folder(environ)
    return root and root / ".pulumi" / "locks" / "organization" / PROJECT / checkout.env


def break_stale_of(checkout: Checkout, environ: Mapping[str, str]) -> list[Path]:
    """Remove this stack's stale locks from a file backend."""
    locks = folder(checkout, environ)
    return break_stale(locks) if locks else []


def break_stale(locks: Path, is_engine: Callable[[int], bool] | None = None) -> list[Path]:
    """Remove every lock of a dead process of this user on this machine; return the removed files."""
    dead = stale(locks, is_engine)
    for file in dead:
        file.unlink(missing_ok=True)
    return dead


def stale(locks: Path, is_engine: Callable[[int], bool] | None = None) -> list[Path]:
    """Return every lock of a dead process of this user on this machine."""
    return [file for file in sorted(locks.glob("*.json")) if _is_stale(file, is_engine or engine_lives)]


def active(locks: Path, is_engine: Callable[[int], bool] | None = None) -> list[Path]:
    """Return every lock whose owner runs or may run."""
    return sorted(set(locks.glob("*.json")) - set(stale(locks, is_engine)))


def engine_lives(pid: int) -> bool:
    """Return whether the process exists and is an engine: its id may have been reused by another program."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    answer = subprocess.run(["ps", "-o", "stat=,comm=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, program = answer.stdout.strip().partition(" ")
    return answer.returncode != 0 or (not state.startswith("Z") and "pulumi" in program)


def _is_stale(file: Path, is_engine: Callable[[int], bool]) -> bool:
    """Return whether the owner is certainly dead; false for a lock that cannot be read or is another user's."""
    try:
        owner = json.loads(file.read_text())
        pid, host, user = int(owner["pid"]), owner["hostname"], owner["username"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return host == socket.gethostname() and user == getpass.getuser() and not is_engine(pid)


@dataclass(frozen=True)
class Holder:
    """The owner of a lock, from the engine's message."""

    user: str
    host: str
    pid: int

    def is_dead(self, is_engine: Callable[[int], bool]) -> bool:
        """Return whether the owner was a process of this user on this machine and is dead."""
        return self.host == socket.gethostname() and self.user == getpass.getuser() and not is_engine(self.pid)


def holders(said: str) -> list[Holder]:
    """Parse the lock owners from the engine's error message; empty when it is not about a lock."""
    if "the stack is currently locked by" not in said:
        return []
    return [Holder(user, host, int(pid)) for user, host, pid in _HOLDER.findall(said)]


def run(engine: Engine, *arguments: str) -> int:
    """Run the engine; if a killed run of this machine left its lock, cancel that run and start again.

    `break_stale` has handled lock files before; only the engine can see locks in a bucket.
    """
    outcome = engine.watch(*arguments)
    found = holders(outcome.tail) if outcome.code == 1 else []
    if not found:
        return outcome.code
    if all(holder.is_dead(engine_lives) for holder in found):
        print("removing the lock of a run that was killed on this machine", flush=True)
        engine.query("cancel", "--yes")
        return engine.follow(*arguments)
    print(advice(engine, found), flush=True)
    return outcome.code


def advice(engine: Engine, found: Iterable[Holder]) -> str:
    """Return advice for a lock whose owner may still run."""
    owners = ", ".join(f"{holder.user}@{holder.host} (process {holder.pid})" for holder in found)
    env = engine.checkout.env
    return (
        f"{env} is locked by {owners}. Wait until that run has ended. If it was killed, such as a cancelled CI job, "
        f'remove its lock: eval "$(make -s env ENV={env})"; pulumi cancel --yes --stack {engine.stack or env}'
    )
