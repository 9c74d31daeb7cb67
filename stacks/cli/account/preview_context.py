"""Facts about the running environment that the commands pass to the Pulumi program, for comparison in a preview."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from components.naming import PAUSED, RUNNING_COST, VOLUME_CENTER
from stacks.cli.account import account_items
from stacks.cli.errors import CliError
from stacks.cli.pulumi import pending_operations, stack
from stacks.cli.pulumi.engine import Engine


def with_preview_context(engine: Engine, *, paused: bool | None = None) -> Engine:
    """Return an engine with these facts in its environment variables.

    They are the stack's current cost, the data centre of its volume, and its unfinished creations. A stack that does
    not exist yet costs nothing and has no volume. Without `paused`, the last update's output is used.
    """
    try:
        outputs, state = engine.query_json("stack", "output", "--json"), stack.deployment(engine)
    except CliError:
        outputs, state = {}, {}
    messages = {RUNNING_COST: str(outputs.get("costPerHour", ""))}
    messages |= {PAUSED: "1" if (is_paused(outputs) if paused is None else paused) else ""}
    messages |= {VOLUME_CENTER: str(outputs.get("dataCenter") or _volume_center(engine, state))}
    return pending_operations.with_state_variables(
        dataclasses.replace(engine, environ={**engine.environ, **messages}), state
    )


def is_paused(outputs: Mapping[str, Any]) -> bool:
    """Return whether the last update left the environment without a pod on purpose."""
    return outputs.get("paused") is True


def with_unfinished_creations(engine: Engine) -> Engine:
    """Return an engine with only the unfinished creations, for a command that runs no program."""
    try:
        return pending_operations.with_state_variables(engine, stack.deployment(engine))
    except CliError:
        return engine


def _volume_center(engine: Engine, state: Mapping[str, Any]) -> str:
    """Return the volume's data centre from the state or, for a volume by `volume.id`, from RunPod; else empty."""
    try:
        if center := stack.volume_center(state):
            return center
        settings = (engine.checkout.stack_yaml().get("config") or {}).get("comfyui-runpod:volume") or {}
        if not settings.get("id"):
            return ""
        with account_items.environment_client(engine) as client:
            return client.get_network_volume(str(settings["id"])).data_center
    except CliError:
        return ""
