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
        assert "seems to belong to another account" in refused
        assert "rpa_key_of_another_account" not in refused
    assert {pod["id"] for pod in runpod.pods()} == {before["podId"]}
    stack.config("runpod:apiKey", KEY)
    stack.run("preview", "--refresh", "--run-program", "--expect-no-changes")
    assert stack.outputs() == before
    # The engine destroys with the key that ran last, which was the other account's: that is refused, too.
    assert "`destroy` uses the last key" in " ".join(stack.destroy(fails=True).split())
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


def test_a_copied_pod_is_told_and_left_alone_until_somebody_ends_it(stack: Stack, runpod: Emulator) -> None:
    """Somebody may work with it; one of the moment in which the pod was made is of a lost answer, and ends."""
    stack.up()
    (pod,) = runpod.pods()
    late = str(runpod.control("clones", {"pod": pod["id"], "atOnce": True})["id"])
    runpod.control("clock", {"advance": 120})
    copy = str(runpod.control("clones", {"pod": pod["id"]})["id"])
    for command in (["preview", "--refresh"], ["refresh", "--yes", "--skip-preview"]):
        said = stack.run(*command)
        assert f"pod {copy} has the marker of {pod['id']} and was not created by this stack" in said
        assert f"`make sweep IDS={copy}` deletes it" in " ".join(said.split())
        assert {one["id"] for one in runpod.pods()} == {pod["id"], late, copy}
    output = stack.up()
    assert f"pod {late} is a duplicate of {pod['id']} and is billed; deleting it" in output
    assert {one["id"] for one in runpod.pods()} == {pod["id"], copy}
    stack.run("preview", "--expect-no-changes")
