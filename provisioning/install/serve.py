"""Start or update the services and wait until they answer."""

from __future__ import annotations

import time
from collections.abc import Callable

from provisioning import contract
from provisioning.errors import InstallError
from provisioning.install.context import InstallContext
from provisioning.install.paths import InstallPaths
from provisioning.layout import port
from provisioning.progress import DONE, RUNNING, WARNING
from provisioning.services import (
    comfyui,
    gateway,
    health,
    isolation,
    prepare,
    sealed_record,
    service_spec,
    start,
    supervisor,
)
from provisioning.services.isolation import Isolation

BOOT_SECONDS = 60.0
COMFYUI_SECONDS = 420.0
"""The first start loads torch and all nodes, which takes minutes."""
GATEWAY_SECONDS = 60.0


EXPLAINED = {
    Isolation.LANDLOCK: "landlock: ComfyUI can read the models on the volume and nothing else there",
    Isolation.FOLDER: "folder: ComfyUI cannot access the volume; models are copied to the container disk",
    Isolation.NONE: "none: custom nodes can read and delete the volume and the gateway's files",
}


SEALED = "images, uploads, workflows and records on the volume are encrypted; models and file names are in plain text"
IN_CLEAR = (
    "images, uploads and workflows are on the volume in plain text, readable by its S3 keys and from another "
    "pod; `encryptAtRest: true` below `gateway:` in the stack file encrypts files that are written afterwards"
)
"""Messages about the encryption of files on the volume."""


def serve(context: InstallContext) -> None:
    """Write the services' specification, start or update them, and wait for health; raises InstallError."""
    comfyui.validate_arguments(context.plan.comfyui_args)
    wanted = InstallPaths(context).service_spec
    known = service_spec.read(context.layout)
    _isolate(context, known, prepare.decided(context.layout, wanted))
    _place(context, wanted)
    service_spec.store(context.layout, wanted)
    context.fence()
    sealed_record.store(context.layout, context.volume_key, wanted)
    start.write_script(context.layout, wanted.bundle)
    python = context.layout.local / wanted.gateway.python
    if known and supervisor.answers(context.layout.local / known.gateway.python, context.layout):
        _change(context, known, wanted)
    _await_supervisor(context, lambda: supervisor.answers(python, context.layout))
    check(context)


def _isolate(context: InstallContext, known: service_spec.ServiceSpec | None, how: Isolation) -> None:
    """Apply the isolation; stop a ComfyUI that runs with another one, because it would keep its access."""
    if known and isolation.is_other(context.layout, how):
        context.progress.emit("start", RUNNING, f"stopping ComfyUI, which runs with another isolation than {how}")
        supervisor.control(context.layout.local / known.gateway.python, context.layout, "stop", "comfyui")
    isolation.apply(context.layout, how)


def kept(plan: contract.GatewayPlan) -> str:
    """Return the message about the encryption of the gateway's files on the volume."""
    return SEALED if plan.options.get("encrypt_at_rest") else IN_CLEAR


def _place(context: InstallContext, wanted: service_spec.ServiceSpec) -> None:
    how = isolation.current(context.layout)
    context.progress.emit("isolation", WARNING if how is Isolation.NONE else DONE, EXPLAINED[how])
    context.progress.emit("files", DONE, kept(wanted.gateway.plan))

    def say(text: str) -> None:
        context.progress.emit("start", RUNNING, text)

    prepare.prepare(context.layout, wanted, context.volume_key, how, say)


def _change(context: InstallContext, known: service_spec.ServiceSpec, wanted: service_spec.ServiceSpec) -> None:
    """Restart changed services only; supervisord itself only when its packages changed."""
    old = context.layout.local / known.gateway.python
    if known.gateway.python != wanted.gateway.python:
        context.progress.emit("start", RUNNING, "restarting supervisord with its new packages")
        supervisor.control(old, context.layout, "shutdown")
        context.layout.supervisor_config.unlink()  # boot.sh's next start writes it again
        return
    start.write_configuration(wanted, context.layout, context.environ)
    status, output = supervisor.control(old, context.layout, "update")
    changed = [line for line in output.splitlines() if line.endswith("ed process group")]
    if status:
        raise InstallError(f"supervisord rejected its new configuration:\n{output}")
    # It may be stopped, by an earlier run that was killed, or for another isolation with an unchanged command.
    supervisor.control(old, context.layout, "start", "comfyui")
    context.progress.emit("start", RUNNING, "; ".join(changed) or "nothing to restart")


def _await_supervisor(context: InstallContext, up: Callable[[], bool]) -> None:
    """Wait until boot.sh has started supervisord, which also verifies that a restart of the pod works."""
    deadline = time.monotonic() + BOOT_SECONDS
    while not up():
        if time.monotonic() > deadline:
            raise InstallError(
                f"the pod's start script did not start {context.layout.start} within {BOOT_SECONDS:.0f} s; "
                "check the pod's log, and its start command if it was changed"
            )
        time.sleep(0.5)


def check(context: InstallContext) -> None:
    """Wait until ComfyUI and the gateway answer on the pod and jobs are accepted.

    A gateway is on standby while another pod's gateway serves, hands over, or may still be alive.

    Raises:
        InstallError: A service does not answer; the message contains the end of its log.
    """
    upstream = f"http://127.0.0.1:{port(contract.COMFYUI_PORT, context.environ)}/system_stats"
    front = f"http://127.0.0.1:{port(contract.GATEWAY_PORT, context.environ)}"
    wanted = InstallPaths(context).service_spec
    python = context.layout.local / wanted.gateway.python
    host = {"Host": gateway.hosts(wanted.gateway, context.environ)[0]}

    def wait(name: str, url: str, headers: dict[str, str], limit: float, doing: str = "is starting") -> None:
        service = health.AwaitedService(
            name,
            answers=lambda: health.answers(url, headers),
            failing=lambda: supervisor.is_failing(python, context.layout, name),
            log=context.layout.logs / f"{name}.log",
            limit=limit,
            doing=doing,
        )
        health.wait_for(service, lambda text: context.progress.emit("health", RUNNING, text))

    wait("gateway", f"{front}/livez", host, GATEWAY_SECONDS)
    context.progress.emit("health", DONE, "gateway answers")
    wait("comfyui", upstream, {}, COMFYUI_SECONDS)
    context.progress.emit("health", DONE, "comfyui answers")
    wait("gateway", f"{front}/readyz", host, _handover_seconds(context), "is waiting for the handover from another pod")
    context.progress.emit("health", DONE, "gateway accepts jobs")


def _handover_seconds(context: InstallContext) -> float:
    """Return how long another pod's gateway may keep the volume: the handover time plus twice the silence limit."""
    options = context.plan.gateway.options
    handover, silence = options.get("handover_seconds", 1800.0), options.get("silence_seconds", 60.0)
    return float(handover) + 2 * float(silence) + GATEWAY_SECONDS
