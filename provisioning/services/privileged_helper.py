"""The privileged helper, which restarts ComfyUI and deletes its old files for the unprivileged gateway.

supervisord runs it as an event listener with its own user, and triggers it every five seconds. The gateway's requests
are files (provisioning.helper_requests), of which this process uses only the names. The content of a deletion is read
by provisioning.services.delete_files as ComfyUI's user, who could delete those files anyway. So an attacker who
controls the gateway can only restart ComfyUI and delete ComfyUI's files.
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
"""Minimum interval, so that continuous requests do not prevent ComfyUI from starting."""
AFTER_FAILURE_SECONDS = 600.0
DELETION_SECONDS = 300.0
MARK_SECONDS = 3600.0
"""Interval of marking this pod's archives as used; archives that are unused for a day are removed."""


class PrivilegedHelper:
    """Polls the directory of requests and carries them out."""

    def __init__(
        self, layout: Layout, restart: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._layout = layout
        self._restart = restart
        self._clock = clock
        self._restarted_at = float("-inf")
        self._failed_at: dict[str, float] = {}
        self._marked_at = float("-inf")
        # The container's start has fulfilled an earlier restart request.
        with suppress(FileNotFoundError):
            (layout.requests / RESTART).unlink()

    def poll(self) -> None:
        """Carry out all pending requests; raises OSError."""
        self._mark()
        # Root owns the parent directory, so the directory cannot be replaced with a link.
        directory = os.open(self._layout.requests, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            for name in sorted(os.listdir(directory)):  # noqa: PTH208 - beside descriptors
                if name == RESTART and self._clock() - self._restarted_at >= BETWEEN_RESTARTS_SECONDS:
                    os.unlink(name, dir_fd=directory)
                    self._restarted_at = self._clock()
                    self._restart()
                elif name.endswith(DELETION_SUFFIX) and not name.startswith("."):
                    self._delete(directory, name)
        finally:
            os.close(directory)

    def _mark(self) -> None:
        if self._clock() - self._marked_at < MARK_SECONDS:
            return
        self._marked_at = self._clock()
        if (wanted := service_spec.read(self._layout)) is not None:
            archives.mark_used(self._layout, wanted.archives)

    def _delete(self, directory: int, name: str) -> None:
        if self._clock() - self._failed_at.get(name, float("-inf")) < AFTER_FAILURE_SECONDS:
            return
        request = _read(directory, name)
        status = self._run_deletion(request) if request is not None else 0
        if status not in {0, delete_files.REFUSED}:
            _say(f"{name} failed; it will be tried again in {AFTER_FAILURE_SECONDS:.0f} s")
            self._failed_at[name] = self._clock()
            return
        if status == delete_files.REFUSED:
            _say(
                f"error: {name} names files that cannot be deleted, see above; the others are deleted, without a retry"
            )
        self._failed_at.pop(name, None)
        os.unlink(name, dir_fd=directory)

    def _run_deletion(self, request: DeletionRequest) -> int:
        owner = users.owner(users.COMFYUI, self._layout)
        ids: dict[str, Any] = {"user": owner[0], "group": owner[1], "extra_groups": []} if owner else {}
        command = [
            sys.executable,
            "-m",
            "provisioning.services.delete_files",
            str(self._layout.base),
            str(request.asked_ns),
        ]
        # Standard output is the protocol with supervisord, so only the child's errors are passed on.
        done = subprocess.run(
            command, input=request.body, stdout=subprocess.DEVNULL, timeout=DELETION_SECONDS, check=False, **ids
        )  # fmt: skip
        return done.returncode


class DeletionRequest(NamedTuple):
    """A request for deletions."""

    body: bytes
    asked_ns: int
    """Its modification time, by the clock of the container disk, which applies to ComfyUI's files as well."""


def _read(directory: int, name: str) -> DeletionRequest | None:
    """Read a request; None when it is not a plain file within the size limit."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        plain = stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_size <= MAX_BYTES
        return DeletionRequest(file.read(MAX_BYTES), found.st_mtime_ns) if plain else None


def restart_with(server: Any, name: str = "comfyui") -> None:  # noqa: ANN401 - supervisor's proxy has no type
    """Restart a program through supervisord's interface, in any state."""
    _say(f"restarting {name}, as the gateway requested")
    # It may have ended by itself and be starting already, which counts as the restart.
    with suppress(Fault):
        server.stopProcess(name)
    with suppress(Fault):
        server.startProcess(name, False)  # noqa: FBT003 - XML-RPC takes no names; False means without waiting


def _say(text: str) -> None:
    sys.stderr.write(f"privileged-helper: {text}\n")
    sys.stderr.flush()


def main() -> None:
    """Poll once for every event until supervisord ends this process."""
    from supervisor import childutils  # type: ignore[import-untyped]  # noqa: PLC0415 - only supervisord's Python has it

    server = childutils.getRPCInterface(os.environ).supervisor
    helper = PrivilegedHelper(Layout.from_env(os.environ), lambda: restart_with(server))
    while True:
        childutils.listener.wait(sys.stdin, sys.stdout)
        try:
            helper.poll()
        except (OSError, subprocess.SubprocessError) as error:
            _say(str(error))
        childutils.listener.ok(sys.stdout)


if __name__ == "__main__":
    main()
