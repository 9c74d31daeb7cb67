"""Backends and key services of other kinds than files and a passphrase, by what the engine is asked."""

from __future__ import annotations

import getpass
import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.runpod.state_file import PENDING, STATE_IDS
from stacks.cli.checkout import Checkout
from stacks.cli.commands import init, preview
from stacks.cli.errors import CliError
from stacks.cli.pulumi import backend, environment, passphrase, pending_operations, stack, state_locks
from stacks.cli.pulumi.engine import Engine

CLOUD = {"PULUMI_BACKEND_URL": "https://api.pulumi.com"}
BUCKET = {"PULUMI_BACKEND_URL": "s3://bucket?region=eu-central-1"}
FILES: dict[str, str] = {}
PASSPHRASE = {"encryptionsalt": "v1:x"}
KMS = {"secretsprovider": "awskms://alias/x", "encryptedkey": "AQ=="}
NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
FAKE = """#!/bin/sh
echo "$@" >> {folder}/asked
case "$*" in
  "stack ls"*) test -e {folder}/names || {{ echo "no access token" >&2; exit 1; }}; cat {folder}/names;;
  "stack export"*) cat {folder}/state;;
  "stack history"*) cat {folder}/history;;
  "stack import"*) test ! -e {folder}/locked || {{ cat {folder}/locked >&2; exit 1; }};;
  "config --json"*) test ! -e {folder}/unreadable || {{ cat {folder}/unreadable >&2; exit 1; }}; echo "{{}}";;
  "up"*) test ! -e {folder}/locked || {{ cat {folder}/locked; exit 1; }};;
  "cancel"*) rm -f {folder}/locked;;
  *) cat > /dev/null;;
esac
"""


class World:
    """A checkout with an engine that answers from files and writes down what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("stacks", ".cache", ".state", "bin"):
            (folder / name).mkdir()
        (folder / "bin" / "pulumi").write_text(FAKE.format(folder=folder))
        (folder / "bin" / "pulumi").chmod(0o755)
        setup = {"engine": {"folder": str(folder / "bin")}, "pulumi_home": "/plugins"}
        (folder / ".cache" / "setup.json").write_text(json.dumps(setup))
        self.checkout = Checkout(folder, "dev")
        self.stack_file({})
        self.has()

    def stack_file(self, content: dict[str, Any]) -> None:
        self.checkout.stack_file.write_text(yaml.safe_dump({"config": {}, **content}))

    def has(self, *names: str) -> None:
        (self.folder / "names").write_text(json.dumps([{"name": name} for name in names]))

    def write(self, name: str, content: object) -> None:
        (self.folder / name).write_text(content if isinstance(content, str) else json.dumps(content))

    def engine(self, **environ: str) -> Engine:
        return Engine(self.checkout, {"PATH": "/usr/bin:/bin", **environ})

    @property
    def asked(self) -> list[str]:
        file = self.folder / "asked"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize(
    ("content", "environ", "needs"),
    [
        ({}, FILES, True), ({}, BUCKET, True), ({}, CLOUD, False),
        (PASSPHRASE, FILES, True), (PASSPHRASE, CLOUD, True), ({"secretsprovider": "passphrase"}, CLOUD, True),
        (KMS, FILES, False), (KMS, BUCKET, False), (KMS, CLOUD, False), ({"encryptedkey": "AQ=="}, BUCKET, False),
    ],
)  # fmt: skip
def test_a_passphrase_is_asked_for_only_where_it_encrypts_something(
    world: World, content: dict[str, Any], environ: dict[str, str], needs: bool
) -> None:
    world.stack_file(content)
    assert backend.needs_passphrase(world.checkout, environ) is needs
    assert (passphrase.settings(world.checkout, environ) is None) is needs
    if needs:
        with pytest.raises(CliError, match="PULUMI_BACKEND_URL"):
            environment.prepared(world.checkout, environ)
    else:
        prepared = environment.prepared(world.checkout, {"PATH": "/usr/bin:/bin", **environ})
        assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in prepared.environ


@pytest.mark.parametrize(
    ("names", "organisation", "full"),
    [
        (["dev"], "", "dev"), (["acme/dev", "prod"], "", "acme/comfyui-runpod/dev"),
        (["acme/comfyui-runpod/dev"], "", "acme/comfyui-runpod/dev"), ([], "", ""),
        (["acme/dev", "dev"], "beta", "beta/comfyui-runpod/dev"),
    ],
)  # fmt: skip
def test_every_command_names_organisation_and_project(
    world: World, names: list[str], organisation: str, full: str
) -> None:
    world.has(*names)
    engine = environment.addressed(world.engine(**CLOUD, **({"PULUMI_ORG": organisation} if organisation else {})))
    assert engine.stack == full
    assert engine.command("up")[3] == (full or "dev")
    assert stack.exists(engine) is (full in {stack.full_name(name) for name in names})


def test_a_name_of_several_organisations_is_never_guessed(world: World) -> None:
    world.has("acme/dev", "beta/dev")
    with pytest.raises(CliError, match="acme/dev, beta/dev; choose one with PULUMI_ORG"):
        environment.addressed(world.engine(**CLOUD))


def test_a_file_backend_is_asked_for_no_name(world: World) -> None:
    assert environment.addressed(world.engine()).command("up")[3] == "dev"
    assert world.asked == []


def test_init_makes_no_passphrase_where_a_service_encrypts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**CLOUD, "RUNPOD_API_KEY": "rpa_x"}.items():
        monkeypatch.setenv(name, value)
    init.run(world.checkout)
    assert not passphrase.private_file(world.checkout).exists()
    assert "stack init --stack dev --non-interactive" in world.asked
    assert not any("export" in line or "import" in line for line in world.asked)


def test_init_takes_a_key_service(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNPOD_API_KEY", "rpa_x")
    init.run(world.checkout, "awskms://alias/x")
    assert not passphrase.private_file(world.checkout).exists()
    assert "stack init --secrets-provider awskms://alias/x --stack dev --non-interactive" in world.asked
    world.stack_file(PASSPHRASE)
    with pytest.raises(CliError, match="change-secrets-provider"):
        init.run(world.checkout, "awskms://alias/x")


def test_a_missing_stack_is_made_with_the_key_service_of_its_file(world: World) -> None:
    world.stack_file(KMS)
    assert stack.ensure(world.engine())
    assert "stack init --secrets-provider awskms://alias/x --stack dev --non-interactive" in world.asked


@pytest.fixture
def previewed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "_without_secrets", lambda _place: 0)
    for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("previewed")
def test_a_preview_from_nothing_says_so_before_and_after_and_names_the_state(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.has("dev")
    world.write("state", {"deployment": {"resources": [{"type": "a"}, {"type": "b"}]}})
    assert preview.run(world.checkout) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all("assumes that nothing exists" in line and "dev HAS A STATE of 2 resources" in line for line in lines)


@pytest.mark.usefixtures("previewed")
def test_a_key_service_that_cannot_be_reached_is_the_reason(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world.stack_file(KMS)
    world.has("dev")
    world.write("state", {"deployment": {}})
    world.write("unreadable", "no AWS credentials")
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://bucket")
    assert preview.run(world.checkout) == 0
    assert (
        "assumes that nothing exists and uses the price file: `pulumi config --json` failed: no AWS"
        in capsys.readouterr().out
    )


@pytest.mark.usefixtures("previewed")
def test_a_backend_without_a_login_is_the_reason(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (world.folder / "names").unlink()
    monkeypatch.setenv("PULUMI_BACKEND_URL", "https://api.pulumi.com")
    assert preview.run(world.checkout) == 0
    assert "no access token" in capsys.readouterr().out


@pytest.mark.parametrize("content", [PASSPHRASE, KMS, {"secretsprovider": "default"}])
def test_a_stack_file_without_secrets_says_nothing_of_who_encrypts(content: dict[str, Any]) -> None:
    assert preview.without_secrets({**content, "config": {"a": 1}}) == {"config": {"a": 1}}


CREATING = {"type": "creating", "resource": {"urn": "urn:pulumi:dev::p::t::pod", "inputs": {"guard": "0123456789"}}}
STATE = {"manifest": {"time": "2026-11-29T12:00:05.123456789Z"}, "pending_operations": [CREATING]}
OURS = [{"startTime": "2026-11-29T12:00:01.000Z", "endTime": "2026-11-29T12:00:05.000Z"}]


def test_unfinished_creations_are_passed_to_the_provider(world: World) -> None:
    state = {**STATE, "pending_operations": [CREATING, {"type": "updating", "resource": {"urn": "other"}}]}
    environ = pending_operations.with_state_variables(
        world.engine(), {**state, "resources": [{"id": "p1"}, {"type": "a component"}]}
    ).environ
    assert json.loads(environ[STATE_IDS]) == ["p1"]
    messages = json.loads(environ[PENDING])
    since = datetime(2026, 11, 29, 12, 0, 5, 123456, tzinfo=UTC).timestamp()
    assert messages == [{"urn": "urn:pulumi:dev::p::t::pod", "instance": "0123456789", "since": since}]


def test_they_are_forgotten_after_an_update_of_ours_and_not_before(world: World) -> None:
    world.write("state", {"version": 3, "deployment": STATE})
    world.write("history", OURS)
    pending_operations.forget(world.engine(), NOW)
    assert [line.split(" --file")[0] for line in world.asked] == [
        "stack export --stack dev --non-interactive",
        "stack history --json --page-size 1 --stack dev --non-interactive",
        "stack import",
    ]
    assert list(world.checkout.state.iterdir()) == []


@pytest.mark.parametrize(
    ("state", "history"),
    [
        ({**STATE, "pending_operations": []}, OURS),
        (STATE, []),
        # Somebody else's update is the newest, or somebody has written after ours, as one that runs now does.
        (STATE, [{"startTime": "2026-11-29T11:00:00.000Z", "endTime": "2026-11-29T11:01:00.000Z"}]),
        ({**STATE, "manifest": {"time": "2026-11-29T12:00:30Z"}}, OURS),
        ({**STATE, "manifest": {}}, OURS),
    ],
)
def test_a_state_written_by_others_is_never_rewritten(
    world: World, state: dict[str, Any], history: list[dict[str, str]]
) -> None:
    world.write("state", {"version": 3, "deployment": state})
    world.write("history", history)
    pending_operations.forget(world.engine(), NOW)
    assert not any("import" in line for line in world.asked)


def test_a_lock_at_that_moment_is_said_and_fails_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.write("state", {"version": 3, "deployment": STATE})
    world.write("history", OURS)
    world.write("locked", "the stack is currently locked by 1 lock(s)")
    pending_operations.forget(world.engine(), NOW - timedelta(seconds=1))
    assert "stay in the state" in capsys.readouterr().out


LOCKED = """error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end ...
  s3://bucket/.pulumi/locks/organization/comfyui-runpod/dev/x.json: created by {user}@{host} (pid {pid}) at 2026-11"""


def test_a_lock_of_a_run_that_was_killed_here_is_cancelled_and_the_run_repeated(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = {"user": getpass.getuser(), "host": socket.gethostname(), "pid": 4194301}
    world.write("locked", LOCKED.format(**holder))
    assert state_locks.run(world.engine(**BUCKET), "up", "--yes") == 0
    assert [line.split()[0] for line in world.asked] == ["up", "cancel", "up"]


@pytest.mark.parametrize("holder", [{"user": "runner", "host": "ci-7"}, {"user": "runner", "host": ""}])
def test_a_lock_of_another_machine_stays_and_the_command_that_removes_it_is_said(
    world: World, holder: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    text = LOCKED.format(**{**holder, "host": holder["host"] or socket.gethostname()}, pid=1)
    world.write("locked", text)
    assert state_locks.run(world.engine(**BUCKET), "up", "--yes") == 1
    assert [line.split()[0] for line in world.asked] == ["up"]
    said = capfd.readouterr().out
    assert 'eval "$(make -s env ENV=dev)"; pulumi cancel --yes --stack dev' in said
    assert "runner@" in said


def test_a_failure_of_another_kind_is_no_lock() -> None:
    assert state_locks.holders("error: created by a@b (pid 1)") == []
