"""Create or update an environment and print how to use it; after a failure, print what exists and is billed."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import partial

from stacks.cli.account import preview_context
from stacks.cli.checkout import Checkout
from stacks.cli.commands import emulator, placement
from stacks.cli.consent import Consent
from stacks.cli.pulumi import environment, event_log, passthrough, pending_operations, stack, state_locks
from stacks.cli.pulumi.engine import INTERRUPTED, Engine
from stacks.cli.pulumi.event_log import Failure
from stacks.cli.reports import data_loss, failure_report, notification, summary

STANDIN = "stand-in"
"""The set-up's name for its own pulumi-command."""


def run(checkout: Checkout, default_env: str, consent: Consent, saved_plan: str = "") -> int:
    """Preview, ask before data is lost, update, and print a summary; return the engine's exit code.

    A paused environment gets a pod again. A saved placement plan overrides the settings.

    Raises:
        CliError: The plan deletes a pod or a volume with data and was not confirmed, or `make init` has not run.
    """
    engine = environment.prepared(checkout, os.environ)
    emulator.start(checkout)
    if warning := plugin_warning(checkout):
        print(warning, flush=True)
    stack.prepare(engine)
    with placement.settings_file(checkout, saved_plan) as settings:
        code, failures = update(preview_context.with_preview_context(engine, paused=False), consent, settings)
    if code == 0:
        outputs = engine.query_json("stack", "output", "--json")
        history = engine.query_json("stack", "history", "--json", "--page-size", "1")
        print(summary.after_up(checkout.env, default_env, outputs, changed=summary.changed(history)), flush=True)
        notification.run(engine, notification.UP, outputs)
    else:
        print(failure_report.format_report(engine, failures, interrupted=code == INTERRUPTED), flush=True)
    return code


def update(
    engine: Engine, consent: Consent, settings: tuple[str, ...] = (), *, pausing: bool = False
) -> tuple[int, list[Failure]]:
    """Preview, ask before data is lost, and update; return the engine's exit code and the failures.

    With `pausing`, the deletion of the pod needs no confirmation.
    """
    arguments = (passthrough.CURRENT_SETTINGS, *settings)
    # The preview is needed: a policy refuses before the first resource is billed.
    with event_log.recording(engine) as planned:
        code = planned.engine.follow("preview", *arguments, *planned.arguments)
        if code:
            return code, planned.failures()
        steps = [step for step in planned.steps() if not (pausing and step.kind == stack.POD)]
        losses = data_loss.losses(
            steps, data_loss.volume_retention(engine.checkout), partial(data_loss.is_empty, engine)
        )
    if losses:
        consent.require(f"this update of {engine.checkout.env} deletes something", losses)
    began = datetime.now(UTC)
    with event_log.recording(engine) as done:
        code = state_locks.run(done.engine, "up", "--yes", "--skip-preview", *arguments, *done.arguments)
        failures = done.failures() if code else []
    if code == 0:
        pending_operations.forget(engine, began)
    return code, failures


def plugin_warning(checkout: Checkout) -> str:
    """Return a warning when a real account uses the stand-in for pulumi-command; empty otherwise."""
    if checkout.setup().get("command_plugin") != STANDIN or emulator.port(checkout) is not None:
        return ""
    return (
        f"warning: {checkout.env} is a real environment and is updated with the project's stand-in for pulumi-command, "
        "because the official plugin could not be downloaded; `make setup` tries again"
    )
