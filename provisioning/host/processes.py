"""Killing all processes of a service user, including those that left the service's process group."""

from __future__ import annotations

import subprocess
import time
from contextlib import suppress
from pathlib import Path

from provisioning.errors import InstallError
from provisioning.host.users import ServiceUser

END_SECONDS = 15.0
PAUSE_SECONDS = 0.05
# A process that forks continuously can escape kills of single process ids; `kill -1` kills all at once.
_KILL_ALL = ("/bin/sh", "-c", "kill -9 -1")


def end_all(user: ServiceUser) -> None:
    """Kill every process of a user, as root; return when none is left.

    Raises:
        InstallError: Some do not end, such as those that wait for a stalled volume.
    """
    deadline = time.monotonic() + END_SECONDS
    while left := running(user):
        if time.monotonic() > deadline:
            raise InstallError(
                f"processes of user {user.name} do not end: {', '.join(map(str, left))}; they keep the access that "
                "they were started with. Restart the pod, then run `make up` again"
            )
        # It fails when no such process is left.
        subprocess.run(
            _KILL_ALL, user=user.uid, group=user.uid, extra_groups=[], stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, cwd="/", timeout=END_SECONDS, check=False,
        )  # fmt: skip
        time.sleep(PAUSE_SECONDS)


def running(user: ServiceUser) -> list[int]:
    """Return the process ids of a user, without zombies."""
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if _is_of(path, user.uid)]


def _is_of(process: Path, uid: int) -> bool:
    with suppress(OSError):
        status = (process / "status").read_text(encoding="utf-8", errors="replace")
        fields = dict(line.partition(":")[::2] for line in status.splitlines())
        return fields["State"].split()[0] not in {"Z", "X"} and str(uid) in fields["Uid"].split()
    return False
