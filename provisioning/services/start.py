"""Start the installed services; boot.sh runs it at every container start, possibly without network access.

The container disk is new each time, so users, system packages, directories and configuration are created first. Then
this process executes supervisord.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from provisioning import contract
from provisioning.errors import InstallError
from provisioning.host import environ as pod_environ
from provisioning.host import users
from provisioning.host.files import ensure_directory, ensure_service_directory, is_writable_for, write
from provisioning.host.system_lock import system_lock
from provisioning.layout import Layout, port
from provisioning.services import gateway, isolation, port_reservation, prepare, supervisor, system_packages
from provisioning.services.service_spec import ServiceSpec, read

START_SCRIPT = """\
#!/bin/sh
# Written by the installer; boot.sh runs it at every container start; operators run `start database backup`.
local=${{POD_ROOT:-}}{local}
# Python searches modules in the working directory first, and the image's may be writable for other users.
cd "${{POD_ROOT:-/}}" || exit 1
module=${{1:-start}}
[ $# -eq 0 ] || shift
PYTHONPATH=$local/bundle/{bundle} PYTHONDONTWRITEBYTECODE=1 exec python3 -m "provisioning.services.$module" "$@"
"""


def write_script(layout: Layout, bundle: str) -> None:
    """Write the script that boot.sh runs."""
    write(layout.start, START_SCRIPT.format(local=contract.LOCAL, bundle=bundle), mode=0o755)


def directories(layout: Layout) -> tuple[tuple[Path, int, users.ServiceUser | None], ...]:
    """Return the services' directories on the container disk with mode and owner; no owner means root."""
    base = layout.base
    read_only = [layout.local, base, layout.nodes, layout.model_folders]
    # A socket with a too long path is in another directory (see Layout.supervisor_socket).
    elsewhere = [layout.supervisor_socket.parent] if layout.supervisor_socket.parent != layout.run else []
    return (
        *((path, 0o755, None) for path in read_only),
        # Services can traverse it to their own files, but not list it.
        (layout.run, 0o711, None),
        *((path, 0o700, None) for path in [layout.logs, *elsewhere]),
        *((base / name, 0o700, users.COMFYUI) for name in ("input", "output", "temp", "user")),
        (layout.gateway_data, 0o700, users.GATEWAY),
        (layout.requests, 0o700, users.GATEWAY),
    )


def make_directories(layout: Layout) -> None:
    """Create all directories."""
    root = (0, 0) if users.owns_machine(layout) else None
    for path, mode, user in directories(layout):
        ensure_directory(path, mode=mode, owner=users.owner(user, layout) if user else root)
    for path in _gateway_directories(layout):
        ensure_service_directory(path, users.owner(users.GATEWAY, layout))


def directories_ready(layout: Layout) -> bool:
    """Return whether every directory exists with its mode and owner."""
    owners = ((path, mode, users.owner(user, layout) if user else None) for path, mode, user in directories(layout))
    given = (is_writable_for(path, users.owner(users.GATEWAY, layout)) for path in _gateway_directories(layout))
    return all(_is_ready(*each) for each in owners) and all(given)


def _gateway_directories(layout: Layout) -> tuple[Path, ...]:
    """Return the directories on the volume that the gateway writes to."""
    return layout.gateway_log, layout.files


def _is_ready(path: Path, mode: int, owner: tuple[int, int] | None) -> bool:
    if not path.is_dir():
        return False
    found = path.stat()
    return stat.S_IMODE(found.st_mode) == mode and found.st_uid == (owner[0] if owner else os.geteuid())


def rendered(spec: ServiceSpec, layout: Layout, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the texts of the gateway's and supervisord's configuration."""
    config = gateway.render(spec, layout, environ)
    programs = supervisor.render(supervisor.programs(spec, layout, environ, config), layout)
    return config, programs + supervisor.preparation(spec, layout) + supervisor.helper(spec, layout)


def write_configuration(spec: ServiceSpec, layout: Layout, environ: Mapping[str, str]) -> None:
    """Write both configurations; only the gateway's user can read the gateway's, which contains secrets."""
    config, daemon = rendered(spec, layout, environ)
    write(layout.gateway_config, config, mode=0o400, owner=users.owner(users.GATEWAY, layout))
    write(layout.supervisor_config, daemon, mode=0o600)


def main() -> None:
    """Restore, render, and execute supervisord."""
    os.umask(0o022)
    layout = Layout.from_env(os.environ)
    spec = read(layout)
    if spec is None:
        sys.exit("start: nothing is installed yet")
    environ = pod_environ.read(layout)
    if users.owns_machine(layout):
        _restore(layout, environ)
    _make_directories(layout)
    _isolate(layout, spec)
    write_configuration(spec, layout, environ)
    if users.owns_machine(layout):
        _reserve(port(contract.GATEWAY_PORT, environ))
    _say("starting ComfyUI and the gateway under supervisord")
    python = str(layout.local / spec.gateway.python)
    arguments = [python, "-m", "supervisor.supervisord", "-n", "-c", str(layout.supervisor_config)]
    # Its child processes inherit this environment, which contains nothing of the pod's environment.
    os.execve(python, arguments, {"PATH": pod_environ.SYSTEM_PATH, "LANG": "C.UTF-8"})  # noqa: S606


def _reserve(number: int) -> None:
    try:
        port_reservation.hold(number, users.GATEWAY.uid)
    except OSError as error:
        # supervisord starts anyway; the gateway is retried, and its log contains the error.
        _say(f"port {number} cannot be reserved for the gateway: {error}")


def _isolate(layout: Layout, spec: ServiceSpec) -> None:
    try:
        isolation.apply(layout, prepare.decided(layout, spec))
    except (InstallError, OSError) as error:
        # ComfyUI waits: provisioning.services.prepare fails with the same error and keeps reporting it.
        isolation.apply(layout, isolation.Isolation.FOLDER)
        _say(f"ComfyUI is not started: {error}")


def _make_directories(layout: Layout) -> None:
    try:
        make_directories(layout)
    except OSError as error:
        # Directories on the container disk come first; the gateway reports missing folders on the volume.
        _say(f"a directory could not be created: {error}")


def _restore(layout: Layout, environ: Mapping[str, str]) -> None:
    env = pod_environ.for_tools(environ)
    try:
        with system_lock(layout):
            system_packages.restore(layout, environ.get(contract.VOLUME_KEY_VARIABLE, ""), env)
    except (InstallError, OSError) as error:
        # The services run without git and ensurepip; the next installation installs them.
        _say(f"system packages were not restored: {error}")
    users.ensure(layout, env)


def _say(text: str) -> None:
    sys.stdout.write(f"start: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
