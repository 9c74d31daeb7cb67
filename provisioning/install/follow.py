"""Print a run's progress lines from an offset until the run has ended.

Every line is `<offset of the next line> <the JSON line>`, so that a client can resume after a lost connection. An empty
line is a keep-alive. A run that died without a result is reported with the result LOST.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator

from provisioning.install import job
from provisioning.layout import Layout
from provisioning.progress import LOST, RESULT, read_from

POLL_SECONDS = 0.2
SIGN_OF_LIFE_SECONDS = 5.0


def follow(layout: Layout, run: str, offset: int, sleep: Callable[[float], None] = time.sleep) -> Iterator[str]:
    """Yield the lines to print."""
    path = job.progress_path(layout, run)
    quiet = 0.0
    while True:
        # Checked before reading: a job that ends in between has already written its last line.
        alive = _alive(layout, run)
        lines = read_from(path, offset)
        for line, behind in lines:
            offset = behind
            yield f"{offset} {line}"
            if json.loads(line)["step"] == RESULT:
                return
        if not alive:
            yield f"{offset} " + json.dumps(
                {"step": RESULT, "state": LOST, "detail": "the installer ended without a result"}
            )
            return
        quiet = 0.0 if lines else quiet + POLL_SECONDS
        if quiet >= SIGN_OF_LIFE_SECONDS:
            quiet = 0.0
            yield ""
        sleep(POLL_SECONDS)


def _alive(layout: Layout, run: str) -> bool:
    current = job.running(layout)
    return current is not None and current.run in {run, ""}


def main() -> None:
    """Follow the run named on the command line, which contains no secret."""
    run, offset = sys.argv[1], int(sys.argv[2])
    for line in follow(Layout.from_env(os.environ), run, offset):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
