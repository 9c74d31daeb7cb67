"""Start a detached installer run, or return the running one for the same job.

Standard input is one JSON object with `job`, `plan` and `secrets`; standard output is one JSON line with `run` and
`started`. The secrets are passed on through a pipe and never written to a file.
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
from provisioning.progress import FAILED, ProgressLog

START_SECONDS = 20.0


def start(layout: Layout, request: dict[str, Any], log: Path | None = None) -> dict[str, object]:
    """Return the run of the same job, or stop the run of another job and start a new one."""
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


def _end(layout: Layout, current: job.InstallerRun) -> None:
    """Stop a run; its result is written first, so that a follower does not treat it as lost and start it again."""
    ProgressLog(job.progress_path(layout, current.run)).finish(FAILED, "stopped: another installation was requested")
    job.stop(layout, current)


def _settled(layout: Layout) -> job.InstallerRun | None:
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
        raise RuntimeError("the child process has no pipe")
    with child.stdin as pipe:
        pipe.write(json.dumps(request).encode())
    deadline = time.monotonic() + START_SECONDS
    while child.poll() is None and _runs(layout) != request["run"] and time.monotonic() < deadline:
        time.sleep(0.05)


def _runs(layout: Layout) -> str:
    current = job.running(layout)
    return current.run if current else ""


def main() -> None:
    """Read the request and print the answer."""
    os.umask(0o077)
    request = json.loads(sys.stdin.read())
    sys.stdout.write(json.dumps(start(Layout.from_env(os.environ), request)) + "\n")


if __name__ == "__main__":
    main()
