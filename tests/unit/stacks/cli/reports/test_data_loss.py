"""What a plan would lose, and when a person is asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stacks.cli.checkout import Checkout
from stacks.cli.pulumi import event_log
from stacks.cli.pulumi.engine import Engine
from stacks.cli.pulumi.event_log import EventLog, Failure, PlanStep
from stacks.cli.pulumi.stack import POD, VOLUME
from stacks.cli.reports import data_loss
from stacks.cli.reports.data_loss import VolumeRetention

POD_OLD = {"id": "p1", "outputs": {"status": "RUNNING", "gpu": "NVIDIA L4", "costPerHr": 0.4}}
VOLUME_OLD = {"id": "v1", "outputs": {"size": 60, "dataCenterId": "EU-RO-1"}}


def step(op: str, kind: str = POD, old: Mapping[str, Any] = POD_OLD, reasons: tuple[str, ...] = ()) -> PlanStep:
    return PlanStep(op, f"urn:pulumi:dev::p::{kind}::dev-gpu-pod", kind, reasons, old)


def replacement(kind: str, old: Mapping[str, Any], *reasons: str) -> list[PlanStep]:
    return [step(op, kind, old, reasons) for op in ("create-replacement", "replace", "delete-replaced")]


def test_a_replaced_pod_is_one_loss_with_its_reason_and_price() -> None:
    (line,) = data_loss.losses(replacement(POD, POD_OLD, "gpuTypeIdList"), VolumeRetention())
    assert "pod p1 (NVIDIA L4) is replaced because of gpuTypeIdList" in line
    assert "running jobs are interrupted" in line
    assert "$0.4000/h now" in line


def test_a_volume_is_a_loss_of_everything_on_it() -> None:
    (line,) = data_loss.losses([step("delete", VOLUME, VOLUME_OLD)], VolumeRetention())
    assert "volume v1 (60 GB in EU-RO-1) is deleted: models, uploads, outputs, users, keys" in line
    assert "$4.20 a month" in line
    (line,) = data_loss.losses(replacement(VOLUME, VOLUME_OLD, "dataCenterIds"), VolumeRetention())
    assert "is deleted and created again because of dataCenterIds" in line


@pytest.mark.parametrize(
    "kept", [VolumeRetention(keep=True), VolumeRetention(identity="v1"), VolumeRetention(identity="v2")]
)
def test_a_volume_that_the_stack_file_keeps_is_no_loss(kept: VolumeRetention) -> None:
    assert data_loss.losses(replacement(VOLUME, VOLUME_OLD, "guard"), kept) == []


def test_a_volume_that_is_certainly_empty_is_no_loss() -> None:
    steps = replacement(VOLUME, VOLUME_OLD, "dataCenterIds")
    assert data_loss.losses(steps, VolumeRetention(), lambda volume: volume == "v1") == []
    assert len(data_loss.losses(steps, VolumeRetention(), lambda volume: volume == "v2")) == 1


@pytest.mark.parametrize(
    "steps",
    [
        [step("create", old={})], [step("update")], [step("same")], [step("refresh")],
        [step("delete", "command:local:Command", {"id": "c"})],
        replacement(POD, {"id": "p1", "outputs": {"status": "EXITED"}}, "status"),
    ],
)  # fmt: skip
def test_a_plan_without_losses_needs_no_confirmation(steps: list[PlanStep]) -> None:
    assert data_loss.losses(steps, VolumeRetention()) == []


def log(tmp_path: Path, *entries: object) -> EventLog:
    file = tmp_path / "events"
    file.write_text("\n".join(json.dumps(entry) for entry in entries) + '\n{"resourcePre')
    return EventLog(file, Engine(Checkout(tmp_path, "dev"), {}))


def test_steps_are_read_with_what_forces_a_replacement(tmp_path: Path) -> None:
    detail = {"gpuTypeIdList": {"diffKind": "update-replace"}, "name": {"diffKind": "update"}}
    metadata = {"op": "replace", "urn": "a::pod", "type": POD, "detailedDiff": detail, "old": POD_OLD}
    (found,) = log(tmp_path, {"resourcePreEvent": {"metadata": metadata}}, {"summaryEvent": {}}).steps()
    assert (found.op, found.name, found.reasons, found.old["id"]) == ("replace", "pod", ("gpuTypeIdList",), "p1")


def test_failures_are_read_once_each_and_debug_lines_are_none(tmp_path: Path) -> None:
    error = {"diagnosticEvent": {"severity": "error", "urn": "a::models", "message": "\n no space\nmore\n"}}
    debug = {"diagnosticEvent": {"severity": "debug", "message": "x"}}
    assert log(tmp_path, debug, error, error).failures() == [Failure("models", "no space")]


def test_a_log_that_was_never_written_says_nothing(tmp_path: Path) -> None:
    assert EventLog(tmp_path / "absent", Engine(Checkout(tmp_path, "dev"), {})).steps() == []


def test_the_log_is_gone_afterwards_because_it_holds_the_state(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path, "dev")
    checkout.state.mkdir()
    with event_log.recording(Engine(checkout, {"A": "b"})) as written:
        written.file.write_text("{}")
        assert written.engine.environ == {"A": "b", "PULUMI_DEBUG_COMMANDS": "true"}
        assert written.file.parent.stat().st_mode & 0o077 == 0
    assert list(checkout.state.iterdir()) == []
