"""Starts an installer run, detached, or names the one that already does the same work.

Standard input: one JSON object with `job`, `plan` and `secrets`. Standard output: one JSON line with `run` and whether
it was `started` now. The secrets go on through a pipe; this module writes none of them anywhere.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from provisioning.install import job
from provisioning.layout import Layout
from provisioning.progress import FAILED, Progress

START_SECONDS = 20.0


def start(layout: Layout, request: dict[str, Any], log: Path | None = None) -> dict[str, object]:
    """Follow a run of the same job, end a run of another one, start ours; returns the answer's members."""
    layout.run.mkdir(parents=True, exist_ok=True)
    with (layout.run / "starter.lock").open("w", encoding="utf-8") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        current = _settled(layout)
        if current and current.job == request["job"]:
            return {"run": current.run, "started": False}
        if current:
            _end(layout, current)
        run = f"{request['job'][:12]}-{secrets.token_hex(4)}"
        _spawn(layout, request | {"run": run}, log or layout.jobs / run / "output.log")
        return {"run": run, "started": True}


def _end(layout: Layout, current: job.JobRecord) -> None:
    """Stop a run for good; the result comes first, or whoever follows it takes it for lost and starts it again."""
    Progress(job.progress_path(layout, current.run)).finish(FAILED, "stopped: another installation was requested")
    job.stop(layout, current)


def _settled(layout: Layout) -> job.JobRecord | None:
    deadline = time.monotonic() + START_SECONDS
    while (current := job.running(layout)) is not None and not current.run and time.monotonic() < deadline:
        time.sleep(0.05)
    return current


def _spawn(layout: Layout, request: dict[str, Any], log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "provisioning.install"],
            stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True, close_fds=True,
        )  # fmt: skip
    if child.stdin is None:
        raise RuntimeError("a pipe was asked for and not made")
    with child.stdin as pipe:
        pipe.write(json.dumps(request).encode())
    deadline = time.monotonic() + START_SECONDS
    while child.poll() is None and _runs(layout) != request["run"] and time.monotonic() < deadline:
        time.sleep(0.05)


def _runs(layout: Layout) -> str:
    current = job.running(layout)
    return current.run if current else ""


def main() -> None:
    """Read the request, answer with one line."""
    os.umask(0o077)
    request = json.loads(sys.stdin.read())
    sys.stdout.write(json.dumps(start(Layout.from_env(os.environ), request)) + "\n")


if __name__ == "__main__":
    main()
