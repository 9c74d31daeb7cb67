"""Processes that tests started, looked at from outside."""

from __future__ import annotations

import subprocess
import time

END_SECONDS = 30.0
"""A killed process still needs the processor to end; `sleep 60` and the like end by themselves only after this."""


def ends(pid: int) -> bool:
    """Whether a process is gone, or only waited for by its parent, within the time a busy machine needs for that."""
    deadline = time.monotonic() + END_SECONDS
    while True:
        answer = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
        if answer.stdout.strip()[:1] in {"", "Z"}:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
