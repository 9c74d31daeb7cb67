"""What the commands tell the program about what runs, so that a preview can set the plan against it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from components.naming import PAUSED, RUNNING_COST, VOLUME_CENTER
from stacks.cli import account, pending, placement, stack
from stacks.cli.engine import Engine
from stacks.cli.errors import CliError


def what_runs(engine: Engine, *, paused: bool | None = None) -> Engine:
    """Return the engine with what the program and the provider are told in its environment.

    What the stack costs now, where its volume is, and which creations were begun and not finished. A stack that is not
    there yet costs nothing, and its volume is wherever it is made. It is `paused` as told or, where nobody says, as
    the last update left it.
    """
    try:
        outputs, state = engine.ask_json("stack", "output", "--json"), stack.deployment(engine)
    except CliError:
        outputs, state = {}, {}
    told = {RUNNING_COST: str(outputs.get("costPerHour", ""))}
    told |= {PAUSED: "1" if (is_paused(outputs) if paused is None else paused) else ""}
    told |= {VOLUME_CENTER: str(outputs.get("dataCenter") or _volume_center(engine, state))}
    return pending.told(dataclasses.replace(engine, environ={**engine.environ, **told}), state)


def is_paused(outputs: Mapping[str, Any]) -> bool:
    """Return whether the last update left the environment without a pod on purpose."""
    return outputs.get("paused") is True


def interrupted(engine: Engine) -> Engine:
    """Return the engine with the unfinished creations alone, for a command that runs no program."""
    try:
        return pending.told(engine, stack.deployment(engine))
    except CliError:
        return engine


def _volume_center(engine: Engine, state: Mapping[str, Any]) -> str:
    """Where the volume is by the state or, for one that somebody else made, by RunPod; empty when nobody can tell."""
    try:
        if center := placement.volume_center(state):
            return center
        settings = (engine.place.stack_yaml().get("config") or {}).get("comfyui-runpod:volume") or {}
        if not settings.get("id"):
            return ""
        with account.api(engine) as client:
            return client.get_network_volume(str(settings["id"])).data_center
    except CliError:
        return ""
