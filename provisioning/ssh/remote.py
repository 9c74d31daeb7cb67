"""Commands on a pod over SSH: check for the bundle, upload it, start the installer, follow its progress."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shlex
from collections.abc import AsyncIterator
from dataclasses import asdict

import asyncssh

from provisioning import contract
from provisioning.contract import PushRequest, bundle
from provisioning.errors import ProvisioningError

COMMAND_SECONDS = 120.0

# The pod's shell expands POD_ROOT, which is empty on a pod and a directory in the emulator's process runtime.
LOCAL = '"${POD_ROOT:-}"' + contract.LOCAL


def job_name(request: PushRequest, digest: str) -> str:
    """Return the job's name, which depends on bundle, plan and secrets."""
    secrets = json.dumps(asdict(request.secrets), sort_keys=True)
    return hashlib.sha256("\0".join((digest, request.plan.to_json(), secrets)).encode()).hexdigest()


async def _run(connection: asyncssh.SSHClientConnection, command: str, data: bytes = b"") -> str:
    """Run a short command; it contains no secret, but its standard input may."""
    done = await asyncio.wait_for(connection.run(command, input=data, encoding=None), COMMAND_SECONDS)
    output, errors = _text(done.stdout), _text(done.stderr)
    if done.exit_status != 0:
        raise ProvisioningError(f"the pod could not run `{command[:60]}...`: {errors[-800:] or output[-800:]}")
    return output


def _text(data: bytes | str | None) -> str:
    return (data.decode("utf-8", "replace") if isinstance(data, bytes) else data or "").strip()


async def upload(connection: asyncssh.SSHClientConnection, digest: str) -> bool:
    """Upload the bundle to the pod if it is missing; return whether it was sent."""
    directory = f"{LOCAL}/bundle/{shlex.quote(digest)}"
    if await _run(connection, f"test -d {directory} && echo there || echo missing") == "there":
        return False
    staged = f'{LOCAL}/bundle/.{shlex.quote(digest[:12])}."$$"'
    # Two clients may upload at once: the first rename wins, and the second copy is removed.
    unpack = f"umask 022; mkdir -p {staged} && tar -xzf - -C {staged} && mv -T {staged} {directory}"
    await _run(connection, f"{unpack}; rm -rf {staged}; test -d {directory}", bundle.pack())
    return True


def _python(digest: str, arguments: str) -> str:
    return f"cd {LOCAL}/bundle/{shlex.quote(digest)} && PYTHONDONTWRITEBYTECODE=1 exec python3 -m {arguments}"


async def start(connection: asyncssh.SSHClientConnection, request: PushRequest, digest: str) -> tuple[str, bool]:
    """Start the installer or find it running; return the run's name and whether it was started now."""
    order = {"job": job_name(request, digest), "plan": asdict(request.plan), "secrets": asdict(request.secrets)}
    command = _python(digest, "provisioning.install.starter")
    answer = json.loads((await _run(connection, command, json.dumps(order).encode())).splitlines()[-1])
    return str(answer["run"]), bool(answer["started"])


async def follow(
    connection: asyncssh.SSHClientConnection, digest: str, run: str, offset: int, silence_seconds: float
) -> AsyncIterator[tuple[int, str]]:
    """Yield the run's progress lines with the next offset; raises TimeoutError when the connection is dead."""
    command = _python(digest, f"provisioning.install.follow {shlex.quote(run)} {offset}")
    async with connection.create_process(command, stdin=asyncssh.DEVNULL) as process:
        while line := await asyncio.wait_for(process.stdout.readline(), silence_seconds):
            behind, _, text = line.strip().partition(" ")
            if text:
                yield int(behind), text
        if process.exit_status not in {0, None}:
            raise ProvisioningError(f"the follower on the pod failed: {(await process.stderr.read())[-800:]}")
