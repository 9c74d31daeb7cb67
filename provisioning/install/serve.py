"""Brings the services to what is desired and waits until they answer."""

from __future__ import annotations

import time
from collections.abc import Callable

from provisioning import contract
from provisioning.errors import InstallError
from provisioning.install.progress import DONE, RUNNING, WARNING
from provisioning.install.site import Site
from provisioning.install.targets import Targets
from provisioning.layout import port
from provisioning.services import comfyui, desired, gateway, health, isolation, prepare, start, supervisor
from provisioning.services.isolation import Isolation
from provisioning.vault import record

BOOT_SECONDS = 60.0
COMFYUI_SECONDS = 420.0
"""Loading torch and all nodes for the first time takes minutes."""
GATEWAY_SECONDS = 60.0


EXPLAINED = {
    Isolation.LANDLOCK: "landlock: of the volume, ComfyUI can read the models and reach nothing else",
    Isolation.FOLDER: "folder: ComfyUI cannot reach the volume; models are copied to the container disk",
    Isolation.NONE: "none: custom nodes can read and delete what lies on the volume and what the gateway keeps",
}


SEALED = "the volume holds pictures, uploads, workflows and records sealed, models and the names of files in clear"
IN_CLEAR = (
    "the volume holds pictures, uploads and workflows in clear: whoever can read it, by its S3 keys or from another "
    "pod, can read them; `encryptAtRest: true` below `gateway:` in the stack file seals what is written from then on"
)
"""What is said of the files on the volume."""


def serve(site: Site) -> None:
    """Write what is desired, start or change the services, wait for health; raises InstallError."""
    comfyui.validate_arguments(site.plan.comfyui_args)
    wanted = Targets(site).desired
    known = desired.read(site.layout)
    isolation.apply(site.layout, prepare.decided(site.layout, wanted))
    _place(site, wanted)
    desired.store(site.layout, wanted)
    site.fence()
    record.store(site.layout, site.volume_key, wanted)
    start.write_script(site.layout, wanted.bundle)
    python = site.layout.local / wanted.gateway.python
    if known and supervisor.answers(site.layout.local / known.gateway.python, site.layout):
        _change(site, known, wanted)
    _await_supervisor(site, lambda: supervisor.answers(python, site.layout))
    check(site)


def kept(plan: contract.GatewayPlan) -> str:
    """Return what is said of the files that the gateway keeps on the volume."""
    return SEALED if plan.options.get("encrypt_at_rest") else IN_CLEAR


def _place(site: Site, wanted: desired.Desired) -> None:
    how = isolation.current(site.layout)
    site.progress.emit("isolation", WARNING if how is Isolation.NONE else DONE, EXPLAINED[how])
    site.progress.emit("files", DONE, kept(wanted.gateway.plan))

    def say(text: str) -> None:
        site.progress.emit("start", RUNNING, text)

    prepare.prepare(site.layout, wanted, site.volume_key, how, say)


def _change(site: Site, known: desired.Desired, wanted: desired.Desired) -> None:
    """Restart what changed and nothing else; supervisord itself only when its own packages did."""
    old = site.layout.local / known.gateway.python
    if known.gateway.python != wanted.gateway.python:
        site.progress.emit("start", RUNNING, "restarting supervisord with its new packages")
        supervisor.control(old, site.layout, "shutdown")
        site.layout.supervisor_config.unlink()  # boot.sh's next start writes it anew
        return
    start.write_configuration(wanted, site.layout, site.environ)
    status, output = supervisor.control(old, site.layout, "update")
    changed = [line for line in output.splitlines() if line.endswith("ed process group")]
    if status:
        raise InstallError(f"supervisord did not take its new configuration:\n{output}")
    site.progress.emit("start", RUNNING, "; ".join(changed) or "nothing to restart")


def _await_supervisor(site: Site, up: Callable[[], bool]) -> None:
    """boot.sh starts what was installed; that it does is part of the proof that a restart will."""
    deadline = time.monotonic() + BOOT_SECONDS
    while not up():
        if time.monotonic() > deadline:
            raise InstallError(
                f"the pod's start script did not start {site.layout.start} within {BOOT_SECONDS:.0f} s; "
                "look at the pod's log, and at its start command if another one is set there"
            )
        time.sleep(0.5)


def check(site: Site) -> None:
    """Wait until ComfyUI and the gateway answer on the pod and jobs are taken.

    A gateway stands by while that of the pod before it serves, hands over, or could still be alive.

    Raises:
        InstallError: One does not, with its log's end.
    """
    upstream = f"http://127.0.0.1:{port(contract.COMFYUI_PORT, site.environ)}/system_stats"
    front = f"http://127.0.0.1:{port(contract.GATEWAY_PORT, site.environ)}"
    wanted = Targets(site).desired
    python = site.layout.local / wanted.gateway.python
    host = {"Host": gateway.hosts(wanted.gateway, site.environ)[0]}

    def wait(name: str, url: str, headers: dict[str, str], limit: float, doing: str = "is starting") -> None:
        service = health.Awaited(
            name,
            answers=lambda: health.answers(url, headers),
            failing=lambda: supervisor.is_failing(python, site.layout, name),
            log=site.layout.logs / f"{name}.log",
            limit=limit,
            doing=doing,
        )
        health.wait_for(service, lambda text: site.progress.emit("health", RUNNING, text))

    wait("gateway", f"{front}/livez", host, GATEWAY_SECONDS)
    site.progress.emit("health", DONE, "gateway answers")
    wait("comfyui", upstream, {}, COMFYUI_SECONDS)
    site.progress.emit("health", DONE, "comfyui answers")
    wait("gateway", f"{front}/readyz", host, _handover_seconds(site), "waits for the pod before it to hand over")
    site.progress.emit("health", DONE, "gateway takes jobs")


def _handover_seconds(site: Site) -> float:
    """Return how long another pod's gateway may keep the volume: its running job, and twice its longest silence."""
    options = site.plan.gateway.options
    handover, silence = options.get("handover_seconds", 1800.0), options.get("silence_seconds", 60.0)
    return float(handover) + 2 * float(silence) + GATEWAY_SECONDS
