"""Brings the services to what is desired and waits until they answer."""

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
"""Loading torch and all nodes for the first time takes minutes."""
GATEWAY_SECONDS = 60.0


EXPLAINED = {
    Isolation.LANDLOCK: "landlock: of the volume, ComfyUI can read the models and reach nothing else",
    Isolation.FOLDER: "folder: ComfyUI cannot reach the volume; models are copied to the container disk",
    Isolation.NONE: "none: custom nodes can read and delete the volume and the gateway's files",
}


SEALED = "images, uploads, workflows and records on the volume are encrypted; models and file names are in plain text"
IN_CLEAR = (
    "images, uploads and workflows are on the volume in plain text, readable by its S3 keys and from another "
    "pod; `encryptAtRest: true` below `gateway:` in the stack file encrypts what is written from then on"
)
"""What is said of the files on the volume."""


def serve(context: InstallContext) -> None:
    """Write what is desired, start or change the services, wait for health; raises InstallError."""
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
    """Decide how ComfyUI is kept apart; what runs under another isolation keeps its access, so it ends before."""
    if known and isolation.is_other(context.layout, how):
        context.progress.emit("start", RUNNING, f"ending ComfyUI, which runs under another isolation than {how}")
        supervisor.control(context.layout.local / known.gateway.python, context.layout, "stop", "comfyui")
    isolation.apply(context.layout, how)


def kept(plan: contract.GatewayPlan) -> str:
    """Return what is said of the files that the gateway keeps on the volume."""
    return SEALED if plan.options.get("encrypt_at_rest") else IN_CLEAR


def _place(context: InstallContext, wanted: service_spec.ServiceSpec) -> None:
    how = isolation.current(context.layout)
    context.progress.emit("isolation", WARNING if how is Isolation.NONE else DONE, EXPLAINED[how])
    context.progress.emit("files", DONE, kept(wanted.gateway.plan))

    def say(text: str) -> None:
        context.progress.emit("start", RUNNING, text)

    prepare.prepare(context.layout, wanted, context.volume_key, how, say)


def _change(context: InstallContext, known: service_spec.ServiceSpec, wanted: service_spec.ServiceSpec) -> None:
    """Restart what changed and nothing else; supervisord itself only when its own packages did."""
    old = context.layout.local / known.gateway.python
    if known.gateway.python != wanted.gateway.python:
        context.progress.emit("start", RUNNING, "restarting supervisord with its new packages")
        supervisor.control(old, context.layout, "shutdown")
        context.layout.supervisor_config.unlink()  # boot.sh's next start writes it anew
        return
    start.write_configuration(wanted, context.layout, context.environ)
    status, output = supervisor.control(old, context.layout, "update")
    changed = [line for line in output.splitlines() if line.endswith("ed process group")]
    if status:
        raise InstallError(f"supervisord rejected its new configuration:\n{output}")
    # It is stopped where a former run ended it and was killed, and where its isolation changed and its command did not.
    supervisor.control(old, context.layout, "start", "comfyui")
    context.progress.emit("start", RUNNING, "; ".join(changed) or "nothing to restart")


def _await_supervisor(context: InstallContext, up: Callable[[], bool]) -> None:
    """boot.sh starts what was installed; that it does is part of the proof that a restart will."""
    deadline = time.monotonic() + BOOT_SECONDS
    while not up():
        if time.monotonic() > deadline:
            raise InstallError(
                f"the pod's start script did not start {context.layout.start} within {BOOT_SECONDS:.0f} s; "
                "look at the pod's log, and at its start command if another one is set there"
            )
        time.sleep(0.5)


def check(context: InstallContext) -> None:
    """Wait until ComfyUI and the gateway answer on the pod and jobs are taken.

    A gateway stands by while that of the pod before it serves, hands over, or could still be alive.

    Raises:
        InstallError: One does not, with its log's end.
    """
    upstream = f"http://127.0.0.1:{port(contract.COMFYUI_PORT, context.environ)}/system_stats"
    front = f"http://127.0.0.1:{port(contract.GATEWAY_PORT, context.environ)}"
    wanted = InstallPaths(context).service_spec
    python = context.layout.local / wanted.gateway.python
    host = {"Host": gateway.hosts(wanted.gateway, context.environ)[0]}

    def wait(name: str, url: str, headers: dict[str, str], limit: float, doing: str = "is starting") -> None:
        service = health.Awaited(
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
    wait("gateway", f"{front}/readyz", host, _handover_seconds(context), "waits for the pod before it to hand over")
    context.progress.emit("health", DONE, "gateway takes jobs")


def _handover_seconds(context: InstallContext) -> float:
    """Return how long another pod's gateway may keep the volume: its running job, and twice its longest silence."""
    options = context.plan.gateway.options
    handover, silence = options.get("handover_seconds", 1800.0), options.get("silence_seconds", 60.0)
    return float(handover) + 2 * float(silence) + GATEWAY_SECONDS
