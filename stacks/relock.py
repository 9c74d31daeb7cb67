"""What `make lock` does: take what a pod's installer reported into the lock file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from components.errors import LockError
from provisioning.contract import ModelPin, ProvisionPlan
from stacks import lockfile, plan, settings


def relock(environment: str, installer_output: str, path: Path = lockfile.PATH) -> tuple[str, ...]:
    """Record the installer's report and return the addresses and `repository@ref`s that are new in the lock file.

    Args:
        environment: Whose stack file the pod was made from.
        installer_output: Standard output of `provisioning.push`; its last line is the report.
        path: The lock file.

    Raises:
        LockError: There is no report, or the pod runs something else than the stack file says.
        SettingsError: The stack file has faults.
    """
    before = lockfile.load(path)
    provision = plan.provision(settings.from_file(environment), before)
    sources = [source for source in (provision.comfyui, *provision.nodes) if _is_of_the_world(source.repository)]
    models = [model for model in reported(provision, installer_output) if _is_of_the_world(model.url)]
    after = before.record(sources, models)
    lockfile.save(after, path)
    return tuple(sorted({*after.models, *after.sources} - {*before.models, *before.sources}))


def reported(provision: ProvisionPlan, installer_output: str) -> tuple[ModelPin, ...]:
    """Return the plan's models with the hashes and sizes a pod found; raises LockError on any other report."""
    try:
        report = json.loads(installer_output.strip().rpartition("\n")[2])
        found = {(model["folder"], model["name"]): model for model in report["models"]}
        commit = report["comfyuiCommit"]
    except (ValueError, KeyError, TypeError) as error:
        raise LockError(
            "the installer left no report in the state; run `make up` and then `make lock` again"
        ) from error
    if commit != provision.comfyui.commit:
        raise LockError(
            f"the pod runs ComfyUI {commit[:12]}... and the settings say {provision.comfyui.commit[:12]}...; "
            "run `make up` first"
        )
    known = [(model, found.get((model.folder, model.name))) for model in provision.models]
    return tuple(
        dataclasses.replace(model, sha256=entry["sha256"], size_bytes=entry["sizeBytes"])
        for model, entry in known
        if entry
    )


def _is_of_the_world(url: str) -> bool:
    """Tell whether an address means the same everywhere; what this machine serves is pinned in its own stack file."""
    return url.startswith("https://")
