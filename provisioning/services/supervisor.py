"""supervisord: its configuration and control."""

from __future__ import annotations

import hashlib
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from provisioning.host import environ as pod_environ
from provisioning.host import users
from provisioning.layout import Layout
from provisioning.services import comfyui
from provisioning.services.service_spec import ServiceSpec

CONTROL_SECONDS = 90.0

# A service cannot gain privileges with a set-uid program; setpriv is part of util-linux on every Debian and Ubuntu.
CONFINED = ("setpriv", "--no-new-privs")

# A network volume may make root the owner of the gateway's files and still enforce modes, so the gateway can only read
# them if they are world-readable. Its folders on the container disk are closed, and the isolation protects the volume.
GATEWAY_UMASK = "000"

HEAD = """\
[supervisord]
nodaemon=true
{user}logfile={logs}/supervisord.log
logfile_maxbytes=5MB
logfile_backups=2
loglevel=info
pidfile={logs}/supervisord.pid
strip_ansi=true

[unix_http_server]
file={socket}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{socket}
"""

# A program that ends within three seconds is restarted after 1, 2, 3 ... seconds; one that ran longer, at once.
PROGRAM = """\

[program:{name}]
command={command}
directory={directory}
{user}umask={umask}
environment={environment}
autostart=true
autorestart=true
startsecs=3
startretries=100
stopasgroup=true
killasgroup=true
stopwaitsecs=20
redirect_stderr=true
stdout_logfile={log}
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=3
"""

# Restores the files that ComfyUI waits for; its output goes to the pod's log.
PREPARATION = """\

[program:prepare]
command={python} -m provisioning.services.prepare
directory={directory}
umask=022
environment={environment}
autostart=true
autorestart=unexpected
exitcodes=0
startsecs=0
startretries=100
redirect_stderr=true
stdout_logfile=/dev/fd/1
stdout_logfile_maxbytes=0
"""

# Runs with supervisord's user, the only one that can access the control socket.
HELPER = """\

[eventlistener:privileged-helper]
command={python} -m provisioning.services.privileged_helper
directory={directory}
umask=077
environment={environment}
events=TICK_5
buffer_size=100
autorestart=true
startsecs=3
startretries=100
stdout_logfile=NONE
stderr_logfile={log}
stderr_logfile_maxbytes=1MB
stderr_logfile_backups=1
"""


@dataclass(frozen=True)
class Program:
    """A supervised program."""

    name: str
    command: Sequence[str]
    directory: Path
    user: users.ServiceUser
    environment: Mapping[str, str]
    umask: str = "077"


def programs(spec: ServiceSpec, layout: Layout, environ: Mapping[str, str], gateway_config: str) -> tuple[Program, ...]:
    """Return both services; REVISION changes with a service's inputs, so that `update` restarts only that service."""
    bundle = layout.bundles / spec.bundle
    comfyui_env = pod_environ.for_comfyui(environ, layout.base / "user") | {"REVISION": spec.comfyui.revision}
    if layout.root != Path("/"):
        # The machine's temporary folder may be a parent of folders that are hidden from ComfyUI.
        comfyui_env["TMPDIR"] = str(layout.base / "temp")
    gateway_env = {
        "PATH": pod_environ.SYSTEM_PATH, "LANG": "C.UTF-8", "HOME": str(layout.gateway_data),
        "PYTHONPATH": str(bundle), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1",
        "REVISION": hashlib.sha256(gateway_config.encode()).hexdigest()[:16],
    }  # fmt: skip
    python = str(layout.local / spec.gateway.python)
    serve = [python, "-m", "provisioning.gateway", "serve", "--config", str(layout.gateway_config)]
    return (
        Program("comfyui", comfyui.command(spec, layout, environ), layout.base, users.COMFYUI, comfyui_env),
        Program("gateway", serve, bundle, users.GATEWAY, gateway_env, GATEWAY_UMASK),
    )


def helper(spec: ServiceSpec, layout: Layout) -> str:
    """Return the section of the privileged helper."""
    return HELPER.format(**_own_program(spec, layout), log=_text(layout.logs / "privileged-helper.log"))


def preparation(spec: ServiceSpec, layout: Layout) -> str:
    """Return the section of the program that restores ComfyUI's files."""
    return PREPARATION.format(**_own_program(spec, layout))


def _own_program(spec: ServiceSpec, layout: Layout) -> dict[str, str]:
    """Return the values shared by the sections of programs with supervisord's user."""
    bundle = layout.bundles / spec.bundle
    environment = {
        "PATH": pod_environ.SYSTEM_PATH, "LANG": "C.UTF-8", "POD_ROOT": str(layout.root), "PYTHONPATH": str(bundle),
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    python = _text(shlex.quote(str(layout.local / spec.gateway.python)))
    return {"python": python, "directory": _text(bundle), "environment": _environment(environment)}


def render(wanted: Sequence[Program], layout: Layout) -> str:
    """Return supervisord's configuration, which contains no secret."""
    root = users.owns_machine(layout)
    head = HEAD.format(
        user="user=root\n" if root else "", logs=_text(layout.logs),
        socket=_text(layout.supervisor_socket),
    )  # fmt: skip
    return head + "".join(_program(program, layout, root=root) for program in wanted)


def _program(program: Program, layout: Layout, *, root: bool) -> str:
    return PROGRAM.format(
        name=program.name,
        command=_text(shlex.join([*(CONFINED if root else ()), *program.command])),
        directory=_text(program.directory),
        user=f"user={program.user.name}\n" if root else "",
        umask=program.umask,
        environment=_environment(program.environment),
        log=_text(layout.logs / f"{program.name}.log"),
    )


def _environment(values: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_text(value)}"' for name, value in sorted(values.items()))


def _text(value: object) -> str:
    """Escape percent signs; remove quotes and line ends, which supervisor's values cannot contain."""
    return " ".join(str(value).splitlines()).replace("%", "%%").replace('"', "")


def control(python: Path, layout: Layout, *command: str) -> tuple[int, str]:
    """Run supervisorctl; return its exit status and output."""
    done = subprocess.run(
        [str(python), "-m", "supervisor.supervisorctl", "-c", str(layout.supervisor_config), *command],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={"PATH": pod_environ.SYSTEM_PATH, "LANG": "C.UTF-8"}, timeout=CONTROL_SECONDS, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def answers(python: Path, layout: Layout) -> bool:
    """Return whether supervisord runs and answers."""
    return python.exists() and layout.supervisor_config.exists() and control(python, layout, "pid")[0] == 0


def is_failing(python: Path, layout: Layout, name: str) -> bool:
    """Return whether a program keeps failing to start."""
    return any(state in control(python, layout, "status", name)[1] for state in ("BACKOFF", "FATAL"))
