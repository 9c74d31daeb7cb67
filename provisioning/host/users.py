"""The users of the two services, created again after every restart with the same ids."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provisioning import contract
from provisioning.errors import InstallError
from provisioning.host.commands import run
from provisioning.host.system_lock import system_lock
from provisioning.layout import Layout


@dataclass(frozen=True)
class ServiceUser:
    """A user of the pod; its group has its name and its id."""

    name: str
    uid: int

    @property
    def owner(self) -> tuple[int, int]:
        """User and group id, as chown takes them."""
        return self.uid, self.uid


COMFYUI = ServiceUser("comfyui", contract.COMFYUI_UID)
GATEWAY = ServiceUser("gateway", contract.GATEWAY_UID)
SERVICE_USERS = (COMFYUI, GATEWAY)


def owns_machine(layout: Layout) -> bool:
    """Return whether this process may set users, owners and system packages: as root on the pod's own machine."""
    return os.geteuid() == 0 and layout.root == Path("/")


def owner(user: ServiceUser, layout: Layout) -> tuple[int, int] | None:
    """Return the ids for chown; None when everything runs as the current user."""
    return user.owner if owns_machine(layout) else None


def exists(user: ServiceUser) -> bool:
    """Return whether the user exists; raises InstallError when the image uses its name or id differently."""
    by_name = next((entry for entry in pwd.getpwall() if entry.pw_name == user.name), None)
    by_id = next((entry for entry in pwd.getpwall() if entry.pw_uid == user.uid), None)
    if by_name is None and by_id is None:
        return False
    if by_name is None or by_id is None or by_name.pw_uid != user.uid:
        raise InstallError(
            f"user {user.name} must have the id {user.uid}, and this image uses the name or the id for another user"
        )
    return True


def create(user: ServiceUser, env: Mapping[str, str]) -> None:
    """Create the user and its group, without login and home."""
    run(["groupadd", "--gid", str(user.uid), user.name], env=env, timeout=30)
    run(
        ["useradd", "--uid", str(user.uid), "--gid", str(user.uid), "--no-create-home", "--home-dir", "/nonexistent",
         "--shell", "/usr/sbin/nologin", user.name],
        env=env, timeout=30,
    )  # fmt: skip


def ensure(layout: Layout, env: Mapping[str, str]) -> None:
    """Create the service users that are missing; only where `in_charge`. Raises InstallError."""
    with system_lock(layout):
        for user in SERVICE_USERS:
            if not exists(user):
                create(user, env)
