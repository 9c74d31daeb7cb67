"""A key of another account, and a copied pod, with the real engine: looks fail or report, and nothing is forgotten."""

from __future__ import annotations

import pytest

from tests.integration.provider.bench import KEY, Emulator, Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_a_key_of_another_account_is_refused_and_the_state_stays(stack: Stack, runpod: Emulator) -> None:
    stack.up()
    before = stack.outputs()
    stack.config("runpod:apiKey", "rpa_key_of_another_account")
    for command in (["refresh", "--yes", "--skip-preview"], ["up", "--yes", "--skip-preview", "--refresh"]):
        refused = stack.run(*command, "--run-program", fails=True)
        assert "looks like one of another account" in refused
        assert "rpa_key_of_another_account" not in refused
    assert {pod["id"] for pod in runpod.pods()} == {before["podId"]}
    stack.config("runpod:apiKey", KEY)
    stack.run("preview", "--refresh", "--run-program", "--expect-no-changes")
    assert stack.outputs() == before
    # The engine destroys with the key that ran last, which was the other account's: that is refused, too.
    assert "`destroy` uses the key that ran last" in " ".join(stack.destroy(fails=True).split())
    stack.run("refresh", "--yes", "--skip-preview", "--run-program")
    stack.destroy()
    assert runpod.billing() == 0


def test_a_rotated_key_of_the_account_goes_on(stack: Stack, runpod: Emulator) -> None:
    stack.up()
    before = stack.outputs()
    runpod.control("accounts", {"key": "rpa_rotated", "sameAs": KEY})
    stack.config("runpod:apiKey", "rpa_rotated")
    stack.run("refresh", "--yes", "--skip-preview", "--run-program")
    stack.config("x", "2")
    stack.up()
    assert stack.outputs()["podId"] == before["podId"]
    stack.destroy()
    assert runpod.billing() == 0


def test_a_copied_pod_is_told_by_looks_and_ended_by_an_update(stack: Stack, runpod: Emulator) -> None:
    stack.up()
    (pod,) = runpod.pods()
    copy = str(runpod.control("clones", {"pod": pod["id"]})["id"])
    for command in (["preview", "--refresh"], ["refresh", "--yes", "--skip-preview"]):
        assert f"pod {copy} carries the mark of {pod['id']}" in stack.run(*command)
        assert {one["id"] for one in runpod.pods()} == {pod["id"], copy}
    output = stack.up()
    assert f"pod {copy} is a twin of {pod['id']} and bills: ending it" in output
    assert [one["id"] for one in runpod.pods()] == [pod["id"]]
    stack.run("preview", "--expect-no-changes")
