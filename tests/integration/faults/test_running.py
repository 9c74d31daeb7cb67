"""An environment that runs: what changes it, what must not, and what it never shows."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests

from tests.emulator.public_ports import kept_port
from tests.integration.faults.account import wait_until
from tests.integration.faults.bench import Bench, refusal

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
IN_PLACE = {"update"}
WRONG = "f" * 64


@dataclass(frozen=True)
class Running:
    """The environment as it is up, and what it took to get there."""

    bench: Bench
    said: str
    """All output of the commands that brought it up."""
    first_plan: dict[str, str] | None
    """What the program wants to do to the state that the previous commit made; None without such a commit."""

    def outputs(self) -> dict[str, str]:
        return dict(self.bench.checkout.json("output"))

    def serves(self) -> bool:
        """Say whether the gateway answers a client that has its key."""
        key = self.bench.checkout.made("-s", "key").out.strip()
        return answers(self.outputs()["gatewayUrl"], key)


def answers(url: str, key: str) -> bool:
    try:
        asked = requests.get(f"{url}/queue", headers={"Authorization": f"Bearer {key}"}, timeout=60)
    except (requests.ConnectionError, requests.Timeout):
        return False
    return asked.status_code == 200


@pytest.fixture(scope="module")
def running(checkout_bench: Bench) -> Iterator[Running]:
    """Brought up by the previous commit where there is one, then by this one."""
    bench, said, plan = checkout_bench, "", None
    if previous := previous_commit(bench):
        said += up_by(bench, previous)
        plan = bench.plan()
    said += bench.checkout.made("up").text
    yield Running(bench, said, plan)
    if bench.account.holds():
        bench.checkout.made("destroy")


def previous_commit(bench: Bench) -> str | None:
    """Return the commit before the one under test, when it is there and could bring an environment up."""
    # Two commits of the clone are ours: its port and its key.
    found = bench.checkout.run("git", "rev-parse", "--verify", "-q", "HEAD~3")
    known = bench.checkout.run("git", "show", f"{found.out.strip()}:stacks/cli/up.py")
    return found.out.strip() if found.code == known.code == 0 else None


def up_by(bench: Bench, commit: str) -> str:
    """Bring the environment up by an earlier commit with the settings of this one, and come back."""
    git = ["git", "-C", str(bench.checkout.path)]
    subprocess.run([*git, "checkout", "-q", "--detach", commit], check=True)
    subprocess.run([*git, "checkout", "-q", "work", "--", "stacks/Pulumi.local.yaml", "stacks/models"], check=True)
    try:
        return bench.checkout.made("up").text
    finally:
        subprocess.run([*git, "checkout", "-q", "-f", "work"], check=True)


@pytest.fixture
def up(running: Running) -> Iterator[Running]:
    with running.bench.untouched_afterwards():
        yield running


def test_state_of_the_previous_commit_previews_without_a_replacement(up: Running) -> None:
    if up.first_plan is None:
        pytest.skip("there is no previous commit that could bring an environment up")
    assert {name: op for name, op in up.first_plan.items() if op not in IN_PLACE} == {}


def test_a_second_preview_has_nothing_to_do(up: Running) -> None:
    assert up.bench.plan() == {}


def test_no_secret_is_in_clear_in_state_history_logs_or_output(up: Running) -> None:
    held = secrets_of(up.bench)
    assert len(held) >= 7
    folder = up.bench.checkout.path / ".state"
    places = [folder / "pulumi", folder / "intents", folder / "emulator/logs", folder / "emulator/emulator.log"]
    places += folder.glob("emulator/namespace/*/log")
    searched = [file for place in places for file in (place.rglob("*") if place.is_dir() else [place])]
    texts = {str(file): file.read_bytes() for file in searched if file.is_file()}
    texts |= {"output": up.said.encode(), "make output": up.bench.checkout.made("-s", "output").out.encode()}
    assert any("backups" in name for name in texts) or any("history" in name for name in texts)
    assert [(name, kind) for name, text in texts.items() for kind, secret in held.items() if secret in text] == []


def secrets_of(bench: Bench) -> dict[str, bytes]:
    """Return every secret of the environment by where it is from; of a private key the line that differs."""
    found = {"account": bench.key.encode()}
    for resource in bench.state()["resources"]:
        name = resource["urn"].rpartition("::")[2]
        for member, value in (resource.get("outputs") or {}).items():
            if member in {"value", "privateKey", "stdin", "apiKey", "adminKey"}:
                text = value["plaintext"].strip('"').replace("\\n", "\n")
                found[f"{name}.{member}"] = distinguishing(text).encode()
    return found


def distinguishing(text: str) -> str:
    lines = text.splitlines()
    return lines[-2] if "PRIVATE KEY" in text and len(lines) > 2 else text


def test_a_changed_key_is_used_at_once_and_replaces_nothing(up: Running) -> None:
    before = up.bench.billed()
    up.bench.account.conditions(revoked_keys=up.bench.key)
    up.bench.set_key(f"{up.bench.key}+2")
    assert set(up.bench.plan().values()) <= IN_PLACE
    up.bench.checkout.made("up")
    assert up.bench.billed() == before


def test_a_changed_url_is_used_at_once_and_replaces_nothing(up: Running) -> None:
    bench, before = up.bench, up.bench.billed()
    old, new = bench.account.port, kept_port()
    emulator = [".venv/bin/python", "-m", "tests.emulator"]
    bench.checkout.run(*emulator, "stop", "--port", str(old), "--state", ".state/emulator")
    bench.edit(f"apiUrl: http://127.0.0.1:{old}", f"apiUrl: http://127.0.0.1:{new}")
    bench.checkout.run(*emulator, "start", "--port", str(new), "--state", ".state/emulator")
    try:
        assert set(bench.plan().values()) <= IN_PLACE
        bench.checkout.made("up")
        assert bench.checkout.json("pods") == before
    finally:
        bench.checkout.run(*emulator, "stop", "--port", str(new), "--state", ".state/emulator")
        bench.checkout.run(*emulator, "start", "--port", str(old), "--state", ".state/emulator")


def test_a_model_with_a_wrong_hash_is_refused_and_the_service_goes_on(up: Running) -> None:
    right = "aefb4e6077d0bd796d4163c14e1f7ff8527351cf4b97df28138e1359c06d3d71"
    up.bench.edit_models(right, WRONG)
    said = refusal(up.bench.checkout.make("up"))
    assert "model stand-in-sd.safetensors: " in said
    assert f"has SHA-256 {right}, the manifest says {WRONG}" in said
    assert "Correct the manifest" in said
    assert up.serves()
    up.bench.edit_models(WRONG, right)
    up.bench.checkout.made("up")
    assert up.bench.plan() == {}


def test_a_stopped_pod_comes_back_with_its_service_and_no_update(up: Running) -> None:
    """RunPod stops and starts pods behind everybody's back: what is on the volume has to start by itself."""
    pod, url = up.outputs()["podId"], up.outputs()["gatewayUrl"]
    key = up.bench.checkout.made("-s", "key").out.strip()
    act(up.bench, pod, "stop")
    wait_until(lambda: not answers(url, key), "the end of the service")
    act(up.bench, pod, "start")
    wait_until(lambda: answers(url, key), "the service after a restart of its pod")
    up.bench.checkout.made("up")
    assert up.outputs()["podId"] == pod
    assert up.bench.checkout.made("-s", "ssh", "CMD=id -un").out.strip() == "root"


def act(bench: Bench, pod: str, action: str) -> None:
    url = f"http://127.0.0.1:{bench.account.port}/v2/pods/{pod}/action"
    headers = {"Authorization": f"Bearer {bench.key}"}
    requests.post(url, json={"action": action}, headers=headers, timeout=30).raise_for_status()


def test_destroy_after_a_rotated_key_ends_everything(up: Running) -> None:
    up.bench.account.conditions(revoked_keys=up.bench.key)
    up.bench.set_key(f"{up.bench.key}+3")
    up.bench.checkout.made("destroy")
    assert up.bench.billed() == []
