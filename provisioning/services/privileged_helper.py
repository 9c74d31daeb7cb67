"""Does for the gateway what its user has no right to: restarts a broken ComfyUI, has old files deleted.

supervisord runs it as an event listener, as the user that supervisord runs as, and wakes it every five seconds. The
gateway asks through files (provisioning.helper_requests). Of those only the names and the fact that they are there
count here; what a deletion says is read by provisioning.services.delete_files, as ComfyUI's user, who could delete
those files anyway. So whoever takes the gateway over can have ComfyUI restarted, and files of ComfyUI's deleted, and
nothing else.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple
from xmlrpc.client import Fault

from provisioning.helper_requests import DELETION_SUFFIX, MAX_BYTES, RESTART
from provisioning.host import users
from provisioning.layout import Layout
from provisioning.services import delete_files, service_spec
from provisioning.vault import archives

BETWEEN_RESTARTS_SECONDS = 30.0
"""A gateway that asks without end must not keep ComfyUI from ever coming up."""
AFTER_FAILURE_SECONDS = 600.0
SWEEP_SECONDS = 300.0
MARK_SECONDS = 3600.0
"""How often the archives that this pod would start from are marked as used: what nobody marks for a day goes."""


class PrivilegedHelper:
    """Looks into the directory of requests and does what they ask for."""

    def __init__(
        self, layout: Layout, restart: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._layout = layout
        self._restart = restart
        self._clock = clock
        self._restarted_at = float("-inf")
        self._failed_at: dict[str, float] = {}
        self._marked_at = float("-inf")
        # What a former life of the pod asked for was done by the start of this one.
        with suppress(FileNotFoundError):
            (layout.requests / RESTART).unlink()

    def look(self) -> None:
        """Do all that is asked for now; raises OSError."""
        self._mark()
        # Its own parent is root's, so nobody can put a link in the directory's place.
        directory = os.open(self._layout.requests, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            for name in sorted(os.listdir(directory)):  # noqa: PTH208 - beside descriptors
                if name == RESTART and self._clock() - self._restarted_at >= BETWEEN_RESTARTS_SECONDS:
                    os.unlink(name, dir_fd=directory)
                    self._restarted_at = self._clock()
                    self._restart()
                elif name.endswith(DELETION_SUFFIX) and not name.startswith("."):
                    self._sweep(directory, name)
        finally:
            os.close(directory)

    def _mark(self) -> None:
        if self._clock() - self._marked_at < MARK_SECONDS:
            return
        self._marked_at = self._clock()
        if (wanted := service_spec.read(self._layout)) is not None:
            archives.mark_used(self._layout, wanted.archives)

    def _sweep(self, directory: int, name: str) -> None:
        if self._clock() - self._failed_at.get(name, float("-inf")) < AFTER_FAILURE_SECONDS:
            return
        request = _read(directory, name)
        status = self._run_sweep(request) if request is not None else 0
        if status not in {0, delete_files.REFUSED}:
            _say(f"{name} could not be done; it is tried again in {AFTER_FAILURE_SECONDS:.0f} s")
            self._failed_at[name] = self._clock()
            return
        if status == delete_files.REFUSED:
            _say(f"error: {name} names what cannot be deleted, see above; the rest is done, and it is not tried again")
        self._failed_at.pop(name, None)
        os.unlink(name, dir_fd=directory)

    def _run_sweep(self, request: Request) -> int:
        owner = users.owner(users.COMFYUI, self._layout)
        ids: dict[str, Any] = {"user": owner[0], "group": owner[1], "extra_groups": []} if owner else {}
        command = [
            sys.executable,
            "-m",
            "provisioning.services.delete_files",
            str(self._layout.base),
            str(request.asked_ns),
        ]
        # Its output is ours, and ours is the protocol with supervisord: only what it complains of goes anywhere.
        done = subprocess.run(
            command, input=request.body, stdout=subprocess.DEVNULL, timeout=SWEEP_SECONDS, check=False, **ids
        )  # fmt: skip
        return done.returncode


class Request(NamedTuple):
    """A request for deletions."""

    body: bytes
    asked_ns: int
    """When it was written, by the clock of the container disk, which ComfyUI's files have as well."""


def _read(directory: int, name: str) -> Request | None:
    """Return what a request says; None for one that is no plain file of a fair size."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        plain = stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_size <= MAX_BYTES
        return Request(file.read(MAX_BYTES), found.st_mtime_ns) if plain else None


def restart_with(server: Any, name: str = "comfyui") -> None:  # noqa: ANN401 - supervisor's proxy has no type
    """Restart a program through supervisord's own interface, whatever state it is in."""
    _say(f"restarting {name}: the gateway says it is broken")
    # It may have ended by itself, and may be on its way up again: then that was the restart.
    with suppress(Fault):
        server.stopProcess(name)
    with suppress(Fault):
        server.startProcess(name, False)  # noqa: FBT003 - XML-RPC takes no names; it means: without waiting


def _say(text: str) -> None:
    sys.stderr.write(f"caretaker: {text}\n")
    sys.stderr.flush()


def main() -> None:
    """Look once for every event until supervisord ends us."""
    from supervisor import childutils  # type: ignore[import-untyped]  # noqa: PLC0415 - only supervisord's Python has it

    server = childutils.getRPCInterface(os.environ).supervisor
    helper = PrivilegedHelper(Layout.from_env(os.environ), lambda: restart_with(server))
    while True:
        childutils.listener.wait(sys.stdin, sys.stdout)
        try:
            helper.look()
        except (OSError, subprocess.SubprocessError) as error:
            _say(str(error))
        childutils.listener.ok(sys.stdout)


if __name__ == "__main__":
    main()
