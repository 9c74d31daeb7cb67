"""What a stack goes through when nothing is killed or lost."""

from __future__ import annotations

import pytest

from tests.integration.provider.bench import KEY, Emulator, Stack


def test_a_stack_from_up_to_destroy(stack: Stack, runpod: Emulator) -> None:
    stack.up()
    first = stack.outputs()
    (pod,) = runpod.pods()
    assert first["podId"] == pod["id"]
    assert first["urls"]["8189"].startswith("http://127.0.0.1:")
    stack.run("preview", "--expect-no-changes")

    stack.config("x", "2")
    stack.config("size", "30")
    stack.up()
    assert stack.outputs()["podId"] == first["podId"]
    assert runpod.pods()[0]["env"]["X"] == "2"

    drift = {"name": "other", "image": "other", "ports": ["8189/http", "22/tcp"], "env": {"X": "9"}, "disk": 11}
    runpod.control(f"pods/{pod['id']}", {"do": "drift", "set": drift})
    shown = stack.run("refresh", "--yes", "--skip-preview")
    assert "[diff: ~containerDiskInGb,env,imageName,name,ports]" in shown
    stack.up()
    (repaired,) = runpod.pods()
    assert (repaired["name"], repaired["image"], repaired["disk"]) == (pod["name"], "image:1", 30)
    assert repaired["env"]["COMFYUI_SSH_HOST_KEY"]

    runpod.control(f"pods/{pod['id']}", {"do": "stop"})
    stack.up("--refresh")
    assert [p["status"] for p in runpod.pods()] == ["RUNNING"]
    stack.run("preview", "--expect-no-changes")

    stack.destroy()
    assert runpod.billing() == 0
    assert KEY.encode() not in stack.everything_on_disk()
    assert b"OPENSSH PRIVATE KEY" not in stack.everything_on_disk()


@pytest.mark.slow
def test_another_key_and_another_address_are_used_at_once_and_replace_nothing(stack: Stack, runpod: Emulator) -> None:
    stack.up()
    pod_id = stack.outputs()["podId"]
    stack.config("runpod:apiKey", "rpa_invalid_canary")
    stack.run("preview", "--expect-no-changes")
    stack.config("x", "2")
    refused = stack.up(fails=True)
    assert "HTTP 401" in refused
    assert "canary" not in refused
    stack.config("runpod:apiKey", KEY)
    stack.config("runpod:apiUrl", runpod.url.replace("127.0.0.1", "localhost"))
    stack.up()
    assert stack.outputs()["podId"] == pod_id
    assert runpod.pods()[0]["env"]["X"] == "2"
    stack.destroy()
    assert runpod.billing() == 0


def test_without_a_key_a_preview_works_and_an_up_says_what_to_do(stack: Stack, runpod: Emulator) -> None:
    before = len(runpod.requests())
    stack.run("config", "rm", "runpod:apiKey")
    assert "5 to create" in stack.run("preview")
    assert "pulumi config set --secret runpod:apiKey" in stack.up(fails=True)
    assert len(runpod.requests()) == before


@pytest.mark.slow
def test_a_deletion_answered_by_something_else_is_not_believed(stack: Stack, runpod: Emulator) -> None:
    stack.up()
    runpod.control("faults", [{"path": "/v2/", "do": {"status": 404, "body": "404 page not found"}}])
    assert "is not RunPod's" in stack.destroy(fails=True)
    runpod.control("faults", [{"method": "DELETE", "path": "/v2/pods", "times": 2, "do": {"status": 503}}])
    assert runpod.billing() == 2
    stack.destroy()
    assert runpod.billing() == 0
