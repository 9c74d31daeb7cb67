"""A new volume in a data centre that turns out to have no GPU: the update fails once and the next one moves it."""

from __future__ import annotations

import pytest

from tests.integration.provider.bench import Emulator, Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_an_empty_volume_moves_and_one_with_a_pod_stays(stack: Stack, runpod: Emulator) -> None:
    runpod.control("faults", [{"method": "POST", "path": "^/v2/pods$", "do": {"status": 400}}])
    refused = stack.up(fails=True)
    assert "is new and empty" in refused
    (trapped,) = runpod.control("pods")["volumes"]
    runpod.control("faults", [])
    output = stack.up()
    assert "no pod is available in its data centre: it moves" in output
    (moved,) = runpod.control("pods")["volumes"]
    assert moved["id"] == stack.outputs()["volumeId"] != trapped["id"]
    assert moved["data_center"] != trapped["data_center"]
    assert [pod["dataCenterId"] for pod in runpod.pods()] == [moved["data_center"]]
    stack.run("preview", "--expect-no-changes")
    stack.destroy()
    assert runpod.billing() == 0
