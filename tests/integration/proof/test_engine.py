"""Replacements, lost records, two checkouts, two engines at once, deletions that lie: on the real engine."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.proof.killing import kill_up
from tests.integration.proof.runpod import RunPod
from tests.integration.proof.site import BOUND, KEY, POD_URN, Site, new_site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
OTHER_GPU = "NVIDIA GeForce RTX 4090"
BOTH_GPUS = f"NVIDIA RTX A5000,{OTHER_GPU}"


def only_pod(site: Site, runpod: RunPod, said: str = "") -> str:
    """Return the id of the one pod that bills, which must be the one in the state."""
    held = [pod.id for pod in runpod.pods()]
    assert held == site.ids(), said
    assert len(held) == 1, said
    return held[0]


def lose_records(site: Site) -> None:
    shutil.rmtree(site.checkout.state / "intents")


@pytest.mark.parametrize("replace", ["before", "after"])
def test_replacements_never_leave_two_and_never_end_the_wrong_one(site: Site, runpod: RunPod, replace: str) -> None:
    site.settings(proof__replace=replace, proof__silent="true")
    site.up()
    unacknowledged = only_pod(site, runpod)
    assert [intent["in_state"] for intent in site.intents()] == [False]

    site.settings(proof__silent="false")
    said = site.up("--target-replace", POD_URN)
    replaced = only_pod(site, runpod, said)
    assert replaced != unacknowledged

    lose_records(site)
    said = site.up("--target-replace", POD_URN)
    again = only_pod(site, runpod, said)
    assert again != replaced

    # Killed while the successor's POST is under way, and its record lost: nobody knows of it but its marker.
    def before() -> None:
        site.settings(proof__gpus=BOTH_GPUS)
        site.up("--target-replace", POD_URN)
        site.settings(proof__gpus=OTHER_GPU)

    site.settings(proof__gpus=OTHER_GPU)
    hit = kill_up(site, runpod, random.Random(replace), "after the effect", "tree", before)
    print(replace, hit)
    lose_records(site)
    site.break_lock()
    runpod.pass_time(5)
    said = site.up()
    only_pod(site, runpod, said)
    assert runpod.pods()[0].gpu == {"id": OTHER_GPU, "count": 1}
    site.run("preview", "--expect-no-changes")
    site.pulumi_destroy()
    assert runpod.holds() == set()


def test_a_second_checkout_of_the_same_stack_and_key_is_another_stack(
    site: Site, runpod: RunPod, engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = new_site(tmp_path / "second", engine, runpod.url)
    both = [one.start("up", "--yes", "--skip-preview") for one in (site, second)]
    said = [process.communicate(timeout=BOUND)[0].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sorted(pod.id for pod in runpod.pods()) == sorted(site.ids() + second.ids())
    mine = site.ids()
    assert second.make_destroy(monkeypatch) == 0
    assert [pod.id for pod in runpod.pods()] == mine
    assert site.make_destroy(monkeypatch) == 0
    assert runpod.holds() == set()


def test_two_ups_at_once_make_one_pod(site: Site, runpod: RunPod) -> None:
    both = [site.start("up", "--yes", "--skip-preview") for _ in range(2)]
    said = [process.communicate(timeout=BOUND)[0].decode() for process in both]
    codes = sorted(process.returncode for process in both)
    print("two at once ended with", codes)
    # Where both saw the other's lock, both gave way.
    assert codes[1] != 0, "one has to find the stack locked"
    assert any("locked" in text for text in said)
    assert len(runpod.pods()) == codes.count(0)
    site.up()
    only_pod(site, runpod)
    site.pulumi_destroy()
    assert runpod.holds() == set()


WEATHER: tuple[dict[str, Any], ...] = (
    {"method": "POST", "path": "^/v2/pods$", "nth": 1, "do": {"status": 429, "headers": {"Retry-After": "1"}}},
    {"method": "POST", "path": "^/v2/pods$", "nth": 2, "do": {"status": 500, "effect": True}},
    {"method": "GET", "path": "^/v2/pods$", "nth": [1, 3], "do": {"status": 502, "body": "<html>bad gateway</html>"}},
    {"method": "GET", "path": "^/v2/pods/", "nth": [1, 2], "do": {"status": 503}},
    {"method": "GET", "path": "^/v2/pods/", "nth": 4, "do": {"reset_after": True}},
    {"method": "GET", "path": "^/v2/pods/", "nth": 6, "do": {"status": 200, "body": "<html>welcome</html>"}},
    {"method": "DELETE", "nth": [1, 2], "do": {"status": 504}},
)


def test_a_stack_lives_and_dies_in_bad_weather(site: Site, runpod: RunPod) -> None:
    runpod.faults(*WEATHER)
    site.up()
    only_pod(site, runpod)
    site.pulumi_destroy()
    assert runpod.holds() == set()
    assert runpod.acted() >= 6
    # One refused, one with an effect; the rest are reads, of which none is asked for ever.
    assert len(runpod.requests("POST", "/v2/pods")) == 2
    assert len(runpod.requests()) < 80


@pytest.mark.parametrize(("status", "words"), [(402, "balance is too low"), (422, "does not accept the request")])
def test_what_no_retry_can_cure_is_asked_once(site: Site, runpod: RunPod, status: int, words: str) -> None:
    runpod.faults({"method": "POST", "path": "^/v2/pods$", "do": {"status": status}})
    said = site.up(fails=True)
    assert words in " ".join(said.split())
    assert len(runpod.requests("POST", "/v2/pods")) == 1
    assert runpod.holds() == set()
    assert site.intents() == []


LIES: dict[str, tuple[dict[str, Any], ...]] = {
    "404 page of a wrong address": ({"path": "^/v2/pods", "do": {"status": 404, "body": "404 page not found"}},),
    "accepted and not done": ({"method": "DELETE", "do": {"status": 204}},),
    "not found in another error": (
        {
            "method": "DELETE",
            "do": {"status": 400, "body": {"title": "Bad Request", "status": 400, "detail": "machine not found"}},
        },
    ),
}


@pytest.fixture(scope="module")
def one_up(account: RunPod, engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A stack that is up while its deletion is lied about, again and again."""
    account.clear()
    made = new_site(tmp_path_factory.mktemp("lies") / "checkout", engine, account.url)
    made.up()
    yield made
    account.clear()


@pytest.mark.parametrize("lie", LIES)
def test_make_destroy_fails_while_a_pod_lives(
    one_up: Site, account: RunPod, lie: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    account.faults(*LIES[lie])
    try:
        code = one_up.make_destroy(monkeypatch)
    except Exception as error:  # noqa: BLE001 - what the command would end with
        code, said = 1, f"error: {error}"
    else:
        said = capsys.readouterr().out
    account.faults()
    assert code != 0, said
    assert len(account.pods()) == 1
    assert only_pod(one_up, account) in said or "is not RunPod's" in said


def test_nothing_shows_a_key_or_a_secret(
    site: Site, runpod: RunPod, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """State, its backups, the history, records and all that was printed, debugging lines of the engine too.

    Only the engine's trace of its own calls (`-v 9`) shows the old key in clear when it changes; nothing of ours asks
    for that, and nothing of ours could hide it.
    """
    second, secret = "rpa_canary_second_key", "canary-of-the-environment"
    site.run("config", "set", "--secret", "proof:secret", secret)
    messages = [site.up("--debug")]
    before = only_pod(site, runpod)
    runpod.conditions(revoked_keys=KEY)
    messages.append(site.run("config", "set", "--secret", "runpod:apiKey", f"{KEY}+{second}"))
    messages.append(site.up("--debug"))
    assert only_pod(site, runpod) == before
    messages.append(site.run("preview", "--expect-no-changes", "--diff"))
    # The same account under another name is another address: used at once, and nothing is replaced.
    site.settings(runpod__apiUrl=runpod.url.replace("127.0.0.1", "localhost"))
    messages.append(site.up("--debug"))
    assert only_pod(site, runpod) == before
    runpod.faults({"method": "PATCH", "do": {"status": 401}})
    site.settings(proof__x="2")
    messages.append(site.up("--debug", fails=True))
    runpod.faults()
    messages += [site.run("stack", "export"), site.run("stack", "history", "--json"), json.dumps(site.intents())]
    assert site.make_destroy(monkeypatch) == 0
    messages.append(capsys.readouterr().out)
    disk = b"".join(file.read_bytes() for file in site.checkout.root.rglob("*") if file.is_file())
    shown = "".join(messages).encode() + disk
    canaries = {"the first key": KEY, "the second key": second, "a secret variable": secret}
    assert {name for name, canary in canaries.items() if canary.encode() in shown} == set()
    assert runpod.holds() == set()


DRIFTS: dict[str, dict[str, Any]] = {
    "imageName": {"image": "other:1"},
    "env": {"env": {"X": "9"}},
    "ports": {"ports": ["8189/http", "22/tcp"]},
    "containerDiskInGb": {"disk": 11},
    "name": {"name": "renamed-by-hand"},
    "status": {"status": "EXITED", "started_at": None},
}


@pytest.mark.nightly
def test_each_drift_out_of_band_shows_and_is_repaired(site: Site, runpod: RunPod) -> None:
    """All at once is in the default set (tests/integration/provider/test_lifecycle.py), each alone for the provider."""
    site.up()
    for name, change in DRIFTS.items():
        (pod,) = runpod.pods()
        wanted = {member: getattr(pod, member) for member in change if member != "started_at"}
        runpod.drift(pod, **change)
        said = site.run("refresh", "--yes", "--skip-preview", "--diff")
        assert name in said, said
        site.up()
        (repaired,) = runpod.pods()
        assert repaired.id == pod.id
        assert {member: getattr(repaired, member) for member in wanted} == wanted, name
    site.pulumi_destroy()
    assert runpod.holds() == set()
