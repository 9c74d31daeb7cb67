"""What is on a volume is lost by a person's word alone, with the real engine and plain `pulumi` commands."""

from __future__ import annotations

import pytest
import yaml

from tests.integration.provider.bench import Emulator, Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def write(stack: Stack, **volume: object) -> None:
    """Write the section `volume` of the stack file by hand, as a person does."""
    file = stack.folder / "Pulumi.test.yaml"
    content = yaml.safe_load(file.read_text())
    content["config"]["provider-test:volume"] = volume
    file.write_text(yaml.safe_dump(content))


def volumes(runpod: Emulator) -> list[str]:
    return [str(volume["id"]) for volume in runpod.control("pods")["volumes"]]


def test_keep_that_was_written_after_the_last_up_is_honoured_by_destroy(stack: Stack, runpod: Emulator) -> None:
    stack.up()
    made = stack.outputs()["volumeId"]
    write(stack, keep=True)
    output = stack.destroy()
    assert f"network volume {made} stays at RunPod and is still billed: volume.keep is set in the stack file" in output
    assert (volumes(runpod), runpod.pods()) == ([made], [])


def test_keep_that_is_gone_since_the_last_up_keeps_nothing(stack: Stack, runpod: Emulator) -> None:
    write(stack, keep=True)
    stack.up()
    write(stack, keep=False)
    stack.destroy()
    assert runpod.billing() == 0


def test_naming_the_stacks_own_volume_ends_neither_pod_nor_volume(stack: Stack, runpod: Emulator) -> None:
    stack.up()
    first = stack.outputs()
    write(stack, id=first["volumeId"])
    output = stack.up()
    assert "volume.id in the stack file names it" in output
    assert (stack.outputs()["podId"], volumes(runpod)) == (first["podId"], [first["volumeId"]])
    assert [pod["id"] for pod in runpod.pods()] == [first["podId"]]
    stack.run("preview", "--expect-no-changes")
    stack.destroy()
    assert (volumes(runpod), runpod.pods()) == ([first["volumeId"]], [])


def test_a_plan_that_would_lose_the_data_needs_a_word(stack: Stack, runpod: Emulator) -> None:
    stack.up()
    first = stack.outputs()
    present = str(runpod.control("pods")["volumes"][0]["data_center"])
    another = next(center for center in ("EU-RO-1", "US-KS-2", "EU-SE-1") if center != present)
    stack.run("config", "set", "--path", "centers[0]", another)
    for command in ("preview", "up"):
        words = [command] if command == "preview" else [command, "--yes", "--skip-preview"]
        refused = stack.run(*words, fails=True)
        assert f"volume.replace: {first['volumeId']}" in refused
    assert (volumes(runpod), runpod.pods()[0]["id"]) == ([first["volumeId"]], first["podId"])
    stack.run("config", "rm", "--path", "centers[0]")
    stack.run("preview", "--expect-no-changes")
