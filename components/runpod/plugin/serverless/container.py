"""Container settings that templates and endpoints share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.runpod.api.models_serverless import Container
from components.runpod.plugin.base import validation
from components.runpod.plugin.base.property_codec import Values, unknown
from components.runpod.plugin.base.validation import split_ports
from components.runpod.plugin.pods.pod_env import declared_env

DEFAULTS: Mapping[str, Any] = {
    "dockerArgs": "",
    "containerDiskInGb": 20,
    "ports": "",
    "env": {},
    "containerRegistryAuthId": "",
}
RULES: Mapping[str, validation.Rule] = {
    "dockerArgs": validation.any_text,
    "containerDiskInGb": validation.integer(1, 10_000, "GB"),
    "ports": validation.ports,
    "env": validation.environment,
    "containerRegistryAuthId": validation.any_text,
}


def canonical(inputs: Values) -> Values:
    """Return the inputs with their ports in canonical form."""
    if unknown(inputs["ports"]):
        return inputs
    return {**inputs, "ports": ",".join(split_ports(inputs["ports"]))}


def body(inputs: Values) -> dict[str, Any]:
    """Return the members of a create request; empty ones are omitted, so that a template's settings apply."""
    wanted = _members(inputs)
    return {member: value for member, value in wanted.items() if value or member == "env"}


def patch(live: Container, inputs: Values) -> dict[str, Any]:
    """Return the members that differ from the existing container."""
    seen = {
        "image": live.image,
        "args": live.args,
        "disk": live.disk,
        "ports": list(live.ports),
        "env": _env(live, inputs),
        "registry": live.registry,
    }
    body = {member: value for member, value in _members(inputs).items() if not _same(value, seen[member])}
    if "env" in body and inputs.get("templateId"):
        # The call replaces the whole environment, so it includes the template's variables.
        body["env"] = {**live.env, **body["env"]}
    return body


def observe(live: Container, inputs: Values) -> Values:
    """Return the observed settings."""
    declared = inputs.get("ports", "")
    same = not unknown(declared) and sorted(split_ports(declared)) == sorted(live.ports)
    return {
        "imageName": live.image,
        "dockerArgs": live.args,
        "containerDiskInGb": live.disk,
        "ports": declared if same else ",".join(live.ports),
        "env": _env(live, inputs),
        "containerRegistryAuthId": live.registry or "",
    }


def _env(live: Container, inputs: Values) -> dict[str, str]:
    """Return the environment to compare: with a template only the program's own variables."""
    wanted = inputs.get("env") or {}
    seen = declared_env(live.env, wanted)
    return {name: value for name, value in seen.items() if name in wanted} if inputs.get("templateId") else seen


def _members(inputs: Values) -> dict[str, Any]:
    return {
        "image": inputs["imageName"],
        "args": inputs["dockerArgs"],
        "disk": inputs["containerDiskInGb"],
        "ports": list(split_ports(inputs["ports"])),
        "env": inputs["env"],
        "registry": inputs["containerRegistryAuthId"] or None,
    }


def _same(wanted: Any, seen: Any) -> bool:  # noqa: ANN401 - JSON
    return sorted(wanted) == sorted(seen) if isinstance(wanted, list) else bool(wanted == seen)
