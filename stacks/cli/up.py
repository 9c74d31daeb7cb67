"""Bring an environment up and say how to use it; when that fails, say what exists and bills now."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import partial

from stacks.cli import (
    aftermath,
    emulator,
    environment,
    events,
    locks,
    notify,
    pending,
    placement,
    plain,
    review,
    stack,
    summary,
    told,
)
from stacks.cli.consent import Consent
from stacks.cli.engine import INTERRUPTED, Engine
from stacks.cli.events import Failure
from stacks.cli.place import Place

STANDIN = "stand-in"
"""What the set-up calls its own pulumi-command."""


def run(place: Place, default_env: str, consent: Consent, saved_plan: str = "") -> int:
    """Preview, ask where something is lost, update, and print a summary; the engine's exit code.

    What was paused gets a pod again. A saved placement plan replaces the settings' own.

    Raises:
        CliError: The plan ends a pod or a volume with data and nobody agreed, or the environment is not prepared.
    """
    engine = environment.prepared(place, os.environ)
    emulator.start(place)
    if warning := plugin_warning(place):
        print(warning, flush=True)
    stack.prepare(engine)
    with placement.settings_file(place, saved_plan) as settings:
        code, failures = update(told.what_runs(engine, paused=False), consent, settings)
    if code == 0:
        outputs = engine.ask_json("stack", "output", "--json")
        history = engine.ask_json("stack", "history", "--json", "--page-size", "1")
        print(summary.after_up(place.env, default_env, outputs, changed=summary.changed(history)), flush=True)
        notify.run(engine, notify.UP, outputs)
    else:
        print(aftermath.text(engine, failures, interrupted=code == INTERRUPTED), flush=True)
    return code


def update(
    engine: Engine, consent: Consent, settings: tuple[str, ...] = (), *, pausing: bool = False
) -> tuple[int, list[Failure]]:
    """Preview, ask where something is lost, and update; return the engine's exit code and what failed.

    That the pod ends is no question when `pausing`.
    """
    arguments = (plain.CURRENT_SETTINGS, *settings)
    # The preview stays: a policy that refuses does so before the first resource bills.
    with events.logged(engine) as planned:
        code = planned.engine.follow("preview", *arguments, *planned.arguments)
        if code:
            return code, planned.failures()
        steps = [step for step in planned.steps() if not (pausing and step.kind == stack.POD)]
        losses = review.losses(steps, review.kept(engine.place), partial(review.is_empty, engine))
    if losses:
        consent.require(f"this update of {engine.place.env} loses something", losses)
    began = datetime.now(UTC)
    with events.logged(engine) as done:
        code = locks.run(done.engine, "up", "--yes", "--skip-preview", *arguments, *done.arguments)
        failures = done.failures() if code else []
    if code == 0:
        pending.forget(engine, began)
    return code, failures


def plugin_warning(place: Place) -> str:
    """Return a warning when a real account is served by the stand-in for pulumi-command; empty otherwise."""
    if place.setup().get("command_plugin") != STANDIN or emulator.port(place) is not None:
        return ""
    return (
        f"warning: {place.env} is a real environment and is updated with the project's stand-in for pulumi-command, "
        "because the official plugin could not be downloaded; `make setup` tries again"
    )
