"""The SSH server of a pod in the process runtime: the emulator's own user, in the pod's directory."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import asyncssh

AUTHORIZED_KEYS = ("COMFYUI_SSH_AUTHORIZED_KEY", "PUBLIC_KEY")
KEEPALIVE_SECONDS = 30


class PodServer(asyncssh.SSHServer):
    """Lets in whoever holds one of the pod's keys, as root, the only user there is."""

    def __init__(self, keys: str) -> None:
        self._keys = keys

    def begin_auth(self, username: str) -> bool:
        """Ask everybody for a key."""
        del username
        return True

    def public_key_auth_supported(self) -> bool:
        """Offer keys and nothing else."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Accept one of the pod's authorized keys for root."""
        authorized = asyncssh.import_authorized_keys(self._keys)
        return username == "root" and authorized.validate(key, "root", "", "") is not None


class Sessions:
    """Runs what comes over SSH; each command is a session of its own, so a detached job outlives the connection."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self._root = root
        self._environment = dict(environment)

    async def run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """Run a command, or a login shell when none was given, and pass its exit code on."""
        run = self._run_terminal if process.term_type else self._run_pipes
        try:
            code = await run(process)
        except OSError as error:
            process.stderr.write(f"cannot run the command: {error}\n".encode())
            code = 127
        if code < 0:
            process.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
        else:
            process.exit(code)

    async def _run_pipes(self, process: asyncssh.SSHServerProcess[bytes]) -> int:
        child = await self._spawn(process, asyncio.subprocess.PIPE)
        await process.redirect(stdin=child.stdin, stdout=child.stdout, stderr=child.stderr)
        code = await child.wait()
        with suppress(asyncssh.Error, ConnectionError):
            await process.stdout.drain()
        return code

    async def _run_terminal(self, process: asyncssh.SSHServerProcess[bytes]) -> int:
        outer, inner = pty.openpty()
        try:
            child = await self._spawn(process, inner)
        finally:
            os.close(inner)
        # The child's end of the terminal is closed on exit; both directions share this one.
        await process.redirect(stdin=os.dup(outer), stdout=outer)
        waiting = asyncio.ensure_future(child.wait())
        closing = asyncio.ensure_future(process.wait_closed())
        await asyncio.wait((waiting, closing), return_when=asyncio.FIRST_COMPLETED)
        closing.cancel()
        if not waiting.done():
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGHUP)
        return await waiting

    async def _spawn(self, process: asyncssh.SSHServerProcess[bytes], stream: int) -> asyncio.subprocess.Process:
        command = ["-c", process.command] if process.command else ["-l"]
        environment = self._environment | {"TERM": process.term_type or "dumb"}
        # A new session, so that ending the emulator does not end what a user started on the pod.
        return await asyncio.create_subprocess_exec(
            "bash",
            *command,
            cwd=self._root,
            env=environment,
            start_new_session=True,
            stdin=stream,
            stdout=stream,
            stderr=stream,
        )


async def listen(root: Path, keys: Mapping[str, str], environment: Mapping[str, str]) -> asyncssh.SSHAcceptor | None:
    """Serve a pod's SSH on a loopback port; None when the pod has no key, as its image would start no sshd then."""
    authorized = "\n".join(keys[name] for name in AUTHORIZED_KEYS if keys.get(name))
    if not authorized:
        return None
    pinned = keys.get("COMFYUI_SSH_HOST_KEY")
    host_key = asyncssh.import_private_key(pinned) if pinned else asyncssh.generate_private_key("ssh-ed25519")
    return await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=lambda: PodServer(authorized),
        server_host_keys=[host_key],
        process_factory=Sessions(root, environment).run,
        sftp_factory=True,
        allow_scp=True,
        encoding=None,
        keepalive_interval=KEEPALIVE_SECONDS,
    )
