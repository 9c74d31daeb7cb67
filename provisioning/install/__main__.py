"""One installer run: reads its request from standard input, takes the locks, runs the steps, reports the result."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from provisioning.contract import ProvisionPlan, Secrets
from provisioning.errors import InstallError, ProvisioningError
from provisioning.host import environ, users
from provisioning.host.files import ensure_directory, refuse_links
from provisioning.install import job, legacy_layout, probe, result
from provisioning.install.cleanup import remove_leftovers
from provisioning.install.context import InstallContext
from provisioning.install.facts import observe
from provisioning.install.lease import Lease
from provisioning.install.serve import serve
from provisioning.install.steps import STEPS, Step, check_comfyui, decide, validate
from provisioning.layout import Layout
from provisioning.progress import DONE, FAILED, RUNNING, SKIPPED, WARNING, ProgressLog
from provisioning.services import isolation


def main(steps: Sequence[Step] = STEPS) -> None:
    """Run the installer; the progress file's last line is the result, even after a failure."""
    os.umask(0o022)
    order: dict[str, Any] = json.loads(sys.stdin.read())
    layout = Layout.from_env(os.environ)
    with job.hold(layout, order["job"], order["run"]):
        progress = ProgressLog(job.progress_path(layout, order["run"]))
        signal.signal(signal.SIGTERM, _stop)
        _finish(progress, layout, order, steps)


def _show_to_gateway(layout: Layout, run: str) -> None:
    """Allow the gateway's user, and no other service, to read this run's progress, which it publishes as events."""
    gateway = users.owner(users.GATEWAY, layout)
    for directory in (layout.jobs, layout.jobs / run):
        ensure_directory(directory, mode=0o750, owner=(0, gateway[1]) if gateway else None)


def _finish(progress: ProgressLog, layout: Layout, order: dict[str, Any], steps: Sequence[Step]) -> None:
    try:
        _show_to_gateway(layout, order["run"])
        context = _context(progress, layout, order)
        outcome = _install(context, steps)
    except ProvisioningError as error:
        progress.finish(FAILED, str(error))
    except OSError as error:
        # The progress file is on the container disk, so that a failing volume can be reported.
        progress.finish(FAILED, f"disk error: {error}. Run the command again; finished steps are kept")
    except Exception:  # noqa: BLE001  (any error must be reported; the traceback contains no secret)
        progress.finish(FAILED, traceback.format_exc(limit=-6))
    else:
        progress.finish(DONE, "ComfyUI and the gateway answer", outcome)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise InstallError("stopped because another installation was requested")


def _context(progress: ProgressLog, layout: Layout, order: dict[str, Any]) -> InstallContext:
    if sys.version_info < (3, 11):  # noqa: UP036  (the image determines the version)
        raise InstallError(f"this image's python3 is {sys.version.split()[0]}; 3.11 or later is required")
    return InstallContext(
        layout=layout,
        plan=ProvisionPlan.from_json(json.dumps(order["plan"])),
        secrets=Secrets(**order["secrets"]),
        environ=environ.read(layout),
        progress=progress,
        bundle=Path(__file__).resolve().parents[2],
    )


def _install(context: InstallContext, steps: Sequence[Step]) -> dict[str, Any]:
    def waiting(owner: str) -> None:
        context.progress.emit("lease", RUNNING, f"waiting for pod {owner}, which is installing on the same volume")

    validate(context)
    refuse_links(context.layout.on_volume)
    _warn_about_limits(context)
    _probe(context)
    with Lease(context.layout.lease, context.pod_id, waiting=waiting) as lease:
        context = replace(context, fence=lease.check)
        _run_steps(context, steps)
        check_comfyui(context)
        context.progress.emit("start", RUNNING, "starting ComfyUI and the gateway")
        legacy_layout.take_over(context)
        serve(context)
        legacy_layout.clear(context)
        remove_leftovers(context)
    return result.result_of(context)


def _warn_about_limits(context: InstallContext) -> None:
    if not observe(context).owns_machine:
        context.progress.emit(
            "users",
            WARNING,
            "emulator's process runtime: no users and system packages are installed, everything runs as one user",
        )


def _probe(context: InstallContext) -> None:
    """Report the volume's properties, and stop before any download when ComfyUI cannot be isolated."""
    owns_machine = users.owns_machine(context.layout)
    try:
        context.progress.emit("volume", DONE, probe.line(context.layout, owns_machine=owns_machine))
    except OSError as error:
        context.progress.emit("volume", WARNING, f"it is not writable: {error}")
    known = sum(
        pin.size_bytes for pin in context.plan.models if not (context.layout.model_copies / pin.sha256).is_file()
    )
    isolation.decide(context.plan.isolation, context.layout, known)


def _run_steps(context: InstallContext, steps: Sequence[Step]) -> None:
    due = {step.name for step in decide(steps, observe(context))}
    for step in steps:
        if step.name not in due:
            context.progress.emit(step.name, SKIPPED, f"{step.title}: already installed")
            continue
        context.fence()
        context.progress.emit(step.name, RUNNING, step.title)
        step.run(context)
        context.progress.emit(step.name, DONE, step.title)


if __name__ == "__main__":
    main()
