"""Bring an environment up and say how to use it."""

from __future__ import annotations

import os

from stacks.cli import emulator, environment, placement, plain, stack, summary, told
from stacks.cli.consent import Consent
from stacks.cli.engine import INTERRUPTED
from stacks.cli.place import Place


def run(place: Place, default_env: str, _consent: Consent, saved_plan: str = "") -> int:
    """Preview, update and summary; the engine's exit code. A saved placement plan replaces the settings' own."""
    engine = environment.prepared(place, os.environ)
    emulator.start(place)
    stack.prepare(engine)
    engine = told.what_runs(engine)
    # The preview stays: a policy that refuses does so before the first resource bills.
    with placement.settings_file(place, saved_plan) as settings:
        code = engine.follow("up", "--yes", plain.CURRENT_SETTINGS, *settings)
    if code == 0:
        outputs = engine.ask_json("stack", "output", "--json")
        history = engine.ask_json("stack", "history", "--json", "--page-size", "1")
        print(summary.after_up(place.env, default_env, outputs, changed=summary.changed(history)), flush=True)
    elif code == INTERRUPTED:
        print(f"interrupted; `make up ENV={place.env}` goes on from here, `make destroy ENV={place.env}` ends it")
    return code
