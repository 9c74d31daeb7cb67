"""The lock on a pod's system packages and users: the start of a pod and an installation may change them at once."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from provisioning.layout import Layout


@contextmanager
def system_lock(layout: Layout) -> Iterator[None]:
    """Hold the lock; waits for the process that has it."""
    layout.run.mkdir(parents=True, exist_ok=True)
    with (layout.run / "system.lock").open("w", encoding="utf-8") as file:
        # A process that can open the file can lock it.
        os.fchmod(file.fileno(), 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
