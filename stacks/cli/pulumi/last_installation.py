"""Plan and result of a stack's last installation, from its state."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from provisioning.contract import ModelPin, ProvisionPlan, PushRequest
from stacks.cli.errors import CliError
from stacks.cli.pulumi.stack import clear

_COMMAND = "command:local:Command"


def reported(plan: ProvisionPlan, found: list[dict[str, Any]]) -> list[ModelPin]:
    """Return the planned models with the hash and size that the pod reported."""
    facts = {fact["name"]: fact for fact in found}
    return [
        dataclasses.replace(model, sha256=facts[model.name]["sha256"], size_bytes=facts[model.name]["sizeBytes"])
        for model in plan.models
        if model.name in facts
    ]


def find_run(state: Mapping[str, Any], env: str) -> tuple[ProvisionPlan, dict[str, Any]]:
    """Return the plan and the result of the last installation, from the state with decrypted secrets."""
    for item in state.get("resources") or []:
        if item.get("type") == _COMMAND and (item.get("outputs") or {}).get("stdout"):
            request = PushRequest.from_json(clear(item["inputs"]["stdin"]))
            return request.plan, dict(json.loads(clear(item["outputs"]["stdout"]).rstrip().splitlines()[-1]))
    raise CliError(f"nothing is installed in {env} yet; run `make up ENV={env}` first")
