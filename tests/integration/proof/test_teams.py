"""A team: one state in a bucket, checkouts that share nothing else, kills, locks of the dead, destroy from anywhere."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stacks.cli.account import preview_context
from stacks.cli.checkout import Checkout
from stacks.cli.commands import destroy, emulator, up
from stacks.cli.consent import Consent
from stacks.cli.pulumi import stack
from stacks.cli.pulumi.engine import Engine
from stacks.cli.pulumi.stack import POD, VOLUME
from tests.integration.proof import site as sites
from tests.integration.proof.bucket import Bucket, bucket
from tests.integration.proof.killing import VICTIMS, kill_up
from tests.integration.proof.runpod import RunPod
from tests.integration.proof.site import Site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
SEED = int(os.environ.get("PROOF_SEED", "20261129"))
AIMS = ("in flight", "after the effect", "waiting for ready", "before POST", "provisioning")
AGREED = Consent("local", given=True)


class Member(Site):
    """One checkout of the team; its state is the team's, its records are its own."""

    @property
    def engine(self) -> Engine:
        return Engine(self.checkout, self.environ)

    def exported(self) -> dict[str, Any]:
        return stack.deployment(self.engine)

    def resources(self) -> list[dict[str, Any]]:
        return list(self.exported().get("resources") or [])

    def make_up(self) -> str:
        """Do what `make up` does behind the set-up; return what went wrong."""
        stack.prepare(self.engine)
        code, failures = up.update(preview_context.with_preview_context(self.engine, paused=False), AGREED)
        return "" if code == 0 else f"{code}: {failures}"

    def start(self, *arguments: str) -> Any:  # noqa: ANN401 - the process of the base class
        """Start the engine as `make` does: with what the state says."""
        engine = preview_context.with_preview_context(self.engine, paused=False)
        return Site(self.checkout, dict(engine.environ)).start(*arguments)


@pytest.fixture(scope="module")
def team() -> Iterator[Bucket]:
    with bucket() as made:
        yield made


def member(folder: Path, first: Member, team: Bucket) -> Member:
    """Clone the checkout, as a colleague or a fresh runner of a CI has it: the files, and nothing of .state."""
    left_out = shutil.ignore_patterns(".state", "home")
    shutil.copytree(first.checkout.root, folder, ignore=left_out)
    checkout = Checkout(folder, "local")
    setup = json.loads((folder / ".cache" / "setup.json").read_text())
    (folder / ".cache" / "setup.json").write_text(json.dumps({**setup, "pulumi_home": str(folder / "home")}))
    return Member(checkout, environ(checkout, team))


def environ(checkout: Checkout, team: Bucket) -> dict[str, str]:
    """Return the environment of one member: the account of the bucket, and a folder of its own for records."""
    checkout.state.mkdir(exist_ok=True)
    own = {"PULUMI_BACKEND_URL": team.backend, **team.environ}
    return {**sites.prepared_environ(checkout), **own}


@pytest.fixture(params=["passphrase", "key service"])
def first(
    request: pytest.FixtureRequest,
    runpod: RunPod,
    engine: Path,
    team: Bucket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Member:
    """The checkout that began the stack; with a key service no passphrase exists anywhere."""
    for name, value in {"PULUMI_BACKEND_URL": team.backend, **team.environ}.items():
        monkeypatch.setenv(name, value)
    provider = team.key if request.param == "key service" else ""
    made = new_member(tmp_path / "first", engine, runpod.url, team, provider)
    monkeypatch.setattr(emulator, "start", lambda _place: None)
    return made


def new_member(folder: Path, engine: Path, url: str, team: Bucket, provider: str) -> Member:
    """Lay out the first checkout and make the stack in the bucket, anew if another test has made one."""
    laid = sites.lay_out(folder, engine)
    if provider:
        laid.stack_file.write_text(f"secretsprovider: {provider}\nconfig: {{}}\n")
    made = Member(laid, environ(laid, team))
    if provider:
        made.environ.pop("PULUMI_CONFIG_PASSPHRASE")
    if stack.exists(made.engine):
        Site(laid, made.environ).run("stack", "rm", "--yes", "--force", "--preserve-config")
    assert stack.ensure(made.engine)
    Site(laid, made.environ).run("config", "set-all", *sites.plain_settings(url, {"volume": "true"}))
    return made


def colleague(folder: Path, first: Member, team: Bucket) -> Member:
    made = member(folder, first, team)
    if "PULUMI_CONFIG_PASSPHRASE" not in first.environ:
        made.environ.pop("PULUMI_CONFIG_PASSPHRASE")
    return made


def converged(one: Member, runpod: RunPod) -> None:
    fault = one.make_up()
    assert fault == ""
    assert len(runpod.pods()) == 1, [pod.name for pod in runpod.pods()]
    assert runpod.holds() == set(one.ids(POD) + one.ids(VOLUME))
    assert one.exported().get("pending_operations") in (None, [])


def destroyed(one: Member, runpod: RunPod, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        for name, value in one.environ.items():
            patch.setenv(name, value)
        if "PULUMI_CONFIG_PASSPHRASE" not in one.environ:
            patch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
        assert destroy.run(one.checkout, AGREED) == 0
    assert runpod.holds() == set(), "orphans"


def rounds(
    count: int, first: Member, team: Bucket, runpod: RunPod, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kill one member's `up`; a fresh one, which knows nothing of it, makes it whole; the other of the two ends it."""
    other = colleague(folder / "other", first, team)
    for number in range(count):
        draw = random.Random(f"{SEED}/{number}")
        killed, next_one = (first, other) if number % 2 else (other, first)
        hit = kill_up(killed, runpod, draw, AIMS[number % len(AIMS)], VICTIMS[number % 3])
        fresh = colleague(folder / f"runner-{number}", first, team)
        converged(fresh, runpod)
        destroyed(next_one, runpod, monkeypatch)
        shutil.rmtree(fresh.checkout.root)
        print(f"round {number} (seed {SEED}/{number}): {hit}, orphans 0", flush=True)


def test_killed_by_one_member_made_whole_by_another_and_ended_by_a_third(
    first: Member, team: Bucket, runpod: RunPod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds(3, first, team, runpod, tmp_path, monkeypatch)


@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_twenty_rounds_in_a_bucket(
    first: Member, team: Bucket, runpod: RunPod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds(20, first, team, runpod, tmp_path, monkeypatch)


def test_a_lock_of_another_machine_is_named_with_the_way_and_stays(
    first: Member, team: Bucket, runpod: RunPod, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What a runner that vanished has left; nobody here can know that it is dead."""
    hit = kill_up(first, runpod, random.Random(SEED), "waiting for ready", "tree")
    assert hit.moment == "waiting for ready"
    elsewhere = colleague(tmp_path / "elsewhere", first, team)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.gethostname", lambda: "another-machine")
        assert elsewhere.make_up() != ""
    said = capfd.readouterr().out
    assert "pulumi cancel --yes --stack local" in said
    assert len(runpod.pods()) == 1
    converged(elsewhere, runpod)
