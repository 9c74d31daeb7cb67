"""A pod that bills and cannot be used: `up` says why and what to change, and `make pods` what it costs meanwhile."""

from __future__ import annotations

import os

import pytest

from tests.integration.faults.bench import Bench, refusal

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="a volume that is full needs the namespace runtime, that is, root"),
]


def test_ssh_refused_then_a_full_volume_then_nothing_left(bench: Bench) -> None:
    bench.edit("readyTimeoutSeconds: 300", "readyTimeoutSeconds: 60")
    bench.checkout.made("preview")
    bench.account.conditions(ssh_refused=".", volume_megabytes=60)
    assert_ssh_is_said_to_be_refused(bench)
    reported = bench.billed()
    assert sorted(entry["type"] for entry in reported) == ["pod", "volume"]
    assert all(entry["usdPerHour"] > 0 and entry["owner"] == "local" for entry in reported)
    bench.account.conditions(ssh_refused="")
    assert_the_volume_is_said_to_be_full(bench)
    assert bench.billed() == reported
    bench.checkout.made("destroy")
    assert bench.billed() == []


def assert_ssh_is_said_to_be_refused(bench: Bench) -> None:
    said = refusal(bench.checkout.make("up"))
    assert "no SSH connection to 127.0.0.1:" in said
    assert "check that the pod runs (`make pods`)" in said
    assert "PRIVATE KEY" not in said


def assert_the_volume_is_said_to_be_full(bench: Bench) -> None:
    said = refusal(bench.checkout.make("up"))
    assert "the volume is full" in said or "Disk quota exceeded" in said
    assert "volume.sizeGb" in said
