"""What the commands tell the program about what runs, so that a preview can set the plan against it."""

from __future__ import annotations

import dataclasses

from components.naming import RUNNING_COST, VOLUME_CENTER
from stacks.cli import account, placement, stack
from stacks.cli.engine import Engine
from stacks.cli.errors import CliError


def what_runs(engine: Engine) -> Engine:
    """The engine with what the stack costs now, and where its volume is, in the program's environment.

    A stack that is not there yet costs nothing, and its volume is wherever it is made.
    """
    try:
        outputs = engine.ask_json("stack", "output", "--json")
    except CliError:
        outputs = {}
    told = {RUNNING_COST: str(outputs.get("costPerHour", ""))}
    told |= {VOLUME_CENTER: str(outputs.get("dataCenter") or _volume_center(engine))}
    return dataclasses.replace(engine, environ={**engine.environ, **told})


def _volume_center(engine: Engine) -> str:
    """Where the volume is by the state or, for one that somebody else made, by RunPod; empty when nobody can tell."""
    try:
        if center := placement.volume_center(stack.deployment(engine)):
            return center
        settings = (engine.place.stack_yaml().get("config") or {}).get("comfyui-runpod:volume") or {}
        if not settings.get("id"):
            return ""
        with account.api(engine) as client:
            return client.get_network_volume(str(settings["id"])).data_center
    except CliError:
        return ""
