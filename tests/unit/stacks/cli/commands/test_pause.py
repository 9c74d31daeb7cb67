"""`make pause`: what it says of the money, and what the engine is told about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from components.naming import PAUSED
from stacks import lookup
from stacks.cli.account import preview_context
from stacks.cli.checkout import Checkout
from stacks.cli.commands import pause
from stacks.cli.consent import Consent
from stacks.cli.errors import CliError
from stacks.cli.pulumi import environment, stack
from stacks.cli.pulumi.engine import Engine

RUNNING = {"costPerHour": 0.2802, "paused": False}
PAUSED_NOW = {"costPerHour": 0.0034, "paused": True, "volumeId": "v1", "dataCenter": "EU-RO-1"}


def test_pause_prints_savings_remaining_costs_and_the_resume_command() -> None:
    text = pause.text("dev", RUNNING, PAUSED_NOW)
    assert "dev is paused: its pod is deleted, which saves $0.2768/h ($6.64 a day)." in text
    assert "billed    volume v1 in EU-RO-1, $0.0034/h ($2.45 in 30d)" in text
    assert "make resume ENV=dev" in text


@pytest.mark.parametrize("before", [PAUSED_NOW, {}])
def test_it_claims_no_saving_twice_and_none_it_does_not_know(before: dict[str, Any]) -> None:
    assert "saves" not in pause.text("dev", before, PAUSED_NOW)


def engine(tmp_path: Path, outputs: dict[str, Any]) -> Engine:
    (tmp_path / ".cache").mkdir()
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "Pulumi.dev.yaml").write_text("config: {}")
    program = tmp_path / "pulumi"
    program.write_text(f"#!/bin/sh\ncase $2 in output) echo '{json.dumps(outputs)}';; *) echo '{{}}';; esac\n")
    program.chmod(0o755)
    (tmp_path / ".cache" / "setup.json").write_text(json.dumps({"engine": {"folder": str(tmp_path)}}))
    return Engine(Checkout(tmp_path, "dev"), {})


@pytest.mark.parametrize(
    ("outputs", "asked", "paused"),
    [
        (PAUSED_NOW, None, True), (RUNNING, None, False), ({}, None, False),
        (PAUSED_NOW, False, False), (RUNNING, True, True),
    ],
)  # fmt: skip
def test_paused_follows_the_last_update_by_default(
    tmp_path: Path, outputs: dict[str, Any], asked: bool | None, paused: bool
) -> None:
    environ = preview_context.with_preview_context(engine(tmp_path, outputs), paused=asked).environ
    assert lookup.paused(environ) is paused
    assert environ[PAUSED] == ("1" if paused else "")


def test_there_is_nothing_to_pause_where_nothing_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "prepared", lambda *_: engine(tmp_path, {}))
    monkeypatch.setattr(stack, "exists", lambda _: False)
    with pytest.raises(CliError, match="dev is not up"):
        pause.run(Checkout(tmp_path, "dev"), Consent("dev"))
