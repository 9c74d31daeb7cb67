"""`make pause`: end the pod, keep the volume and the keys, and say what that saves. `make up` or `make resume` undo it.

That an environment is paused is an output of its stack, in the state that all machines share: a plain `pulumi up`
leaves it so, and a pause that was killed is finished by the same command.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from stacks.cli import aftermath, emulator, environment, notify, stack, told, up
from stacks.cli.consent import Consent
from stacks.cli.engine import INTERRUPTED
from stacks.cli.errors import CliError
from stacks.cli.place import Place


def run(place: Place, consent: Consent) -> int:
    """End the pod by an update that declares none; the engine's exit code.

    Raises:
        CliError: There is nothing to pause, or the update would lose the volume and nobody agreed.
    """
    engine = environment.prepared(place, os.environ)
    emulator.start(place)
    if not stack.exists(engine) or not stack.resources(stack.deployment(engine), stack.GUARD):
        raise CliError(f"{place.env} is not up, so there is nothing to pause")
    stack.prepare(engine)
    before = engine.ask_json("stack", "output", "--json")
    code, failures = up.update(told.what_runs(engine, paused=True), consent, pausing=True)
    if code:
        print(aftermath.text(engine, failures, interrupted=code == INTERRUPTED, act="pause"), flush=True)
    else:
        now = engine.ask_json("stack", "output", "--json")
        print(text(place.env, before, now), flush=True)
        notify.run(engine, notify.PAUSED, now)
    return code


def text(env: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return what is saved, what bills on, and the way back."""
    ran, costs = float(before.get("costPerHour") or 0), float(now.get("costPerHour") or 0)
    saved = f", which saves ${ran - costs:.4f}/h (${(ran - costs) * 24:.2f} a day)" if ran > costs else ""
    first = f"{env} was paused already" if told.is_paused(before) else f"{env} is paused: its pod has ended{saved}"
    return "\n".join(
        (
            f"{first}.",
            f"  bills on  volume {now.get('volumeId')} in {now.get('dataCenter') or 'its data centre'}, ${costs:.4f}/h "
            f"(${costs * 24 * 30:.2f} in 30d); models, files, users and keys are on it",
            f"  back      make resume ENV={env}; the next pod is installed anew, has another address, and needs a free "
            "GPU in that data centre",
        )
    )
