"""Bring home what the pod found out: hashes of models and commits of sources, into the lock file of the repository."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from provisioning.contract import ModelPin, ProvisionPlan, PushRequest
from stacks import lockfile
from stacks.cli import stack
from stacks.cli.engine import Engine
from stacks.cli.errors import CliError
from stacks.cli.stack import clear

_COMMAND = "command:local:Command"


def run(engine: Engine) -> None:
    """Record the last installation's result; what was recorded before stays enforced.

    Raises:
        CliError: nothing was installed yet.
    """
    plan, result = find_run(stack.deployment(engine, secrets=True), engine.place.env)
    before = lockfile.load()
    after = before.record((plan.comfyui, *plan.nodes), reported(plan, result["models"]))
    lockfile.save(after)
    new = sum(1 for url in after.models if url not in before.models)
    print(f"{lockfile.PATH.name}: {len(after.models)} model(s), {new} new; {len(after.sources)} source(s). Commit it.")


def reported(plan: ProvisionPlan, found: list[dict[str, Any]]) -> list[ModelPin]:
    """The planned models with the hash and size the pod found."""
    facts = {fact["name"]: fact for fact in found}
    return [
        dataclasses.replace(model, sha256=facts[model.name]["sha256"], size_bytes=facts[model.name]["sizeBytes"])
        for model in plan.models
        if model.name in facts
    ]


def find_run(state: Mapping[str, Any], env: str) -> tuple[ProvisionPlan, dict[str, Any]]:
    """The plan and the result of the last installation, from the state with its secrets in clear."""
    for item in state.get("resources") or []:
        if item.get("type") == _COMMAND and (item.get("outputs") or {}).get("stdout"):
            request = PushRequest.from_json(clear(item["inputs"]["stdin"]))
            return request.plan, dict(json.loads(clear(item["outputs"]["stdout"]).rstrip().splitlines()[-1]))
    raise CliError(f"nothing was installed in {env} yet; run `make up ENV={env}` first")
