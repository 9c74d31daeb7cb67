"""`make pause`: delete the pod, keep the volume and the keys, and print the savings. `make resume` undoes it.

An output of the stack records that an environment is paused, in the state that all machines share: a plain
`pulumi up` keeps it paused, and the same command finishes an interrupted pause.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from stacks.cli.account import environment_resources, preview_context
from stacks.cli.checkout import Checkout
from stacks.cli.commands import destroy, emulator, up
from stacks.cli.consent import Consent
from stacks.cli.errors import CliError
from stacks.cli.pulumi import environment, stack
from stacks.cli.pulumi.engine import INTERRUPTED
from stacks.cli.reports import ended_pods, failure_report, notification


def run(checkout: Checkout, consent: Consent) -> int:
    """Delete the pod by an update that declares none; return the engine's exit code.

    Raises:
        CliError: There is nothing to pause, or the update would delete the volume and was not confirmed.
    """
    engine = environment.prepared(checkout, os.environ)
    emulator.start(checkout)
    if not stack.exists(engine) or not stack.resources(stack.deployment(engine), stack.GUARD):
        raise CliError(f"{checkout.env} is not up, so there is nothing to pause")
    stack.prepare(engine)
    before = engine.query_json("stack", "output", "--json")
    state = stack.deployment(engine)
    ran, _ = destroy.meter(engine, state, set(environment_resources.matcher_of(engine, state).instances))
    pods = [thing for thing in ran if thing.type == "pod"]
    # Recorded before the update as well: an interrupted pause may have deleted the pod already.
    ended_pods.note(checkout, pods, datetime.now(UTC))
    code, failures = up.update(preview_context.with_preview_context(engine, paused=True), consent, pausing=True)
    if code:
        print(failure_report.format_report(engine, failures, interrupted=code == INTERRUPTED, act="pause"), flush=True)
    else:
        ended_pods.note(checkout, pods, datetime.now(UTC))
        now = engine.query_json("stack", "output", "--json")
        print(text(checkout.env, before, now), flush=True)
        notification.run(engine, notification.PAUSED, now)
    return code


def text(env: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return lines with the savings, what is still billed, and how to resume."""
    ran, costs = float(before.get("costPerHour") or 0), float(now.get("costPerHour") or 0)
    saved = f", which saves ${ran - costs:.4f}/h (${(ran - costs) * 24:.2f} a day)" if ran > costs else ""
    first = (
        f"{env} was paused already"
        if preview_context.is_paused(before)
        else f"{env} is paused: its pod is deleted{saved}"
    )
    return "\n".join(
        (
            f"{first}.",
            f"  billed    volume {now.get('volumeId')} in {now.get('dataCenter') or 'its data centre'}, ${costs:.4f}/h "
            f"(${costs * 24 * 30:.2f} in 30d); models, files, users and keys are on it",
            f"  resume    make resume ENV={env}; the new pod gets another address and needs a free GPU "
            "in that data centre",
        )
    )
