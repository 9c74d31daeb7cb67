"""`boot/start database backup|restore` on the pod: back up the gateway's database to standard output, or restore it.

It runs the gateway's command as the gateway's user. A restore stops the gateway and always starts it again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from provisioning.host import users
from provisioning.layout import Layout
from provisioning.services import supervisor
from provisioning.services.service_spec import ServiceSpec, read

LIMIT_SECONDS = 3600
"""Time limit of the gateway's command, in seconds."""


@dataclass(frozen=True)
class DatabaseTool:
    """Runs the gateway's commands on one pod."""

    layout: Layout
    spec: ServiceSpec

    def backup(self, target: BinaryIO) -> int:
        """Write a backup to a stream; returns the command's exit status."""
        with self._passing() as file:
            status = self._gateway("backup", file)
            if status == 0:
                # No links are followed: the gateway owns the directory, and this process can read every file.
                with os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW), "rb") as copy:
                    shutil.copyfileobj(copy, target)
                target.flush()
        return status

    def restore(self, source: BinaryIO) -> int:
        """Replace the database with the backup in a stream; return the command's exit status."""
        with self._passing() as file:
            self._receive(source, file)
            stopped, said = supervisor.control(self._python, self.layout, "stop", "gateway")
            if stopped:
                sys.stderr.write(f"the gateway could not be stopped: {said}\n")
                return stopped
            try:
                return self._gateway("restore", file)
            finally:
                supervisor.control(self._python, self.layout, "start", "gateway")

    @property
    def _python(self) -> Path:
        return self.layout.local / self.spec.gateway.python

    @contextmanager
    def _passing(self) -> Iterator[Path]:
        """Yield a temporary file in the gateway's directory, and delete it afterwards."""
        file = self.layout.gateway_data / f"passing-{os.getpid()}"
        try:
            yield file
        finally:
            file.unlink(missing_ok=True)

    def _receive(self, source: BinaryIO, file: Path) -> None:
        # Created exclusively, with its owner set by descriptor: the gateway owns the directory and could create a link.
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as copy:
            if (owner := users.owner(users.GATEWAY, self.layout)) is not None:
                os.fchown(descriptor, *owner)
            shutil.copyfileobj(source, copy)

    def _gateway(self, action: str, file: Path) -> int:
        program = next(p for p in supervisor.programs(self.spec, self.layout, {}, "") if p.name == "gateway")
        command = [str(self._python), "-m", "provisioning.gateway", action, "--config", str(self.layout.gateway_config)]
        owner = users.owner(users.GATEWAY, self.layout)
        uid, gid = owner if owner is not None else (None, None)
        groups: list[int] | None = [] if owner is not None else None
        # Messages go to standard error, because standard output is the backup.
        done = subprocess.run(
            [*command, str(file)], cwd=program.directory, env=dict(program.environment), stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(), check=False, timeout=LIMIT_SECONDS, user=uid, group=gid, extra_groups=groups,
        )  # fmt: skip
        return done.returncode


def main() -> int:
    """Back up or restore."""
    os.umask(0o077)
    layout = Layout.from_env(os.environ)
    spec = read(layout)
    if sys.argv[1:] not in (["backup"], ["restore"]) or spec is None:
        sys.stderr.write("usage: database backup|restore, on a pod with an installation\n")
        return 2
    tool = DatabaseTool(layout, spec)
    return tool.backup(sys.stdout.buffer) if sys.argv[1] == "backup" else tool.restore(sys.stdin.buffer)


if __name__ == "__main__":
    sys.exit(main())
