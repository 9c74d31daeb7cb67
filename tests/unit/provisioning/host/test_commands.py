"""Tools are bounded by what they do, not by how long the whole takes: a large download is no hang."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[4]
# In a session of its own, as an installation runs: what else moves in the group counts as the tool's.
RUN = """
import sys
from provisioning.errors import InstallError
from provisioning.host.commands import run
try:
    print(run([sys.executable, "-c", sys.argv[1]], env={}, timeout=float(sys.argv[2])))
except InstallError as error:
    print(f"refused: {error}")
"""
BUSY = """
import time
for _ in range(40):
    open("/dev/null", "w").write("x"); time.sleep(0.1)
print("came to its end")
"""


def ran(tool: str, bound: float) -> tuple[str, float]:
    """Run a tool with a bound; returns what came of it, and the seconds that took."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", RUN, tool, str(bound)], cwd=ROOT, capture_output=True, text=True, check=True,
        start_new_session=True, timeout=100,
    )  # fmt: skip
    return done.stdout, time.monotonic() - began


def test_an_active_command_may_exceed_the_limit() -> None:
    said, seconds = ran(BUSY, 2.0)
    assert "came to its end" in said
    assert seconds > 4


def test_an_inactive_command_is_killed() -> None:
    said, seconds = ran("import time; print('began', flush=True); time.sleep(90)", 2.0)
    assert "was inactive for 2 s" in said
    assert seconds < 60


def test_a_failed_command_is_reported_with_its_last_lines() -> None:
    said, _ = ran("print('the reason'); raise SystemExit(3)", 60)
    assert "ended with status 3" in said
    assert "the reason" in said
