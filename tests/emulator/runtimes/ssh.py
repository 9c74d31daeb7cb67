"""The SSH server of a pod in the process runtime: the emulator's own user, in the pod's directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import asyncssh

from tests.emulator.runtimes.ssh_session import Sessions

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


class PodFiles(asyncssh.SFTPServer):
    """Files over SFTP; a relative path begins in the pod's root, which is the user's home."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], root: Path) -> None:
        super().__init__(channel)
        self._home = os.fsencode(root)

    def map_path(self, path: bytes) -> bytes:
        """Return the path on this machine."""
        return super().map_path(os.path.join(self._home, path))  # noqa: PTH118 - paths are bytes here


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
        sftp_factory=lambda channel: PodFiles(channel, root),
        allow_scp=True,
        encoding=None,
        keepalive_interval=KEEPALIVE_SECONDS,
    )
