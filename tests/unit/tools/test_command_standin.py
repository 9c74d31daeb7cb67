"""The stand-in for pulumi-command: what runs, what is shown, what is secret, and that nothing outlives it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pulumi.runtime.proto import provider_pb2

from tests.unit.processes import ends
from tools.plugins.command import property_codec
from tools.plugins.command.engine_log import CommandLog
from tools.plugins.command.process import CommandFailedError, CommandRequest, Commands
from tools.plugins.command.servicer import TOKEN, CommandServicer, _command_request

URN = f"urn:pulumi:local::p::{TOKEN}::c"
GUARD = Path(sys.modules["tools.plugins.command.process"].__file__ or "").with_name("guard.py")


class Log(CommandLog):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str, urn: str = "") -> None:
        self.lines.append(text)


def shell(text: str, **more: object) -> CommandRequest:
    return CommandRequest(argv=["/bin/sh", "-c", text], **more)  # type: ignore[arg-type]


def written(file: Path) -> int:
    deadline = time.monotonic() + 60
    while not (file.exists() and file.read_text().strip()):
        assert time.monotonic() < deadline, f"{file} was not written"
        time.sleep(0.05)
    return int(file.read_text())


def test_output_comes_line_by_line_and_whole() -> None:
    lines: list[str] = []
    outcome = Commands().run(shell("echo one; echo two >&2; printf three"), lines.append)
    assert (outcome.stdout, outcome.stderr) == ("one\nthree", "two")
    assert sorted(lines) == ["one", "three", "two"]


def test_standard_input_and_environment_reach_the_command_and_no_error() -> None:
    order = shell("cat >/dev/null; echo oops; exit 4", stdin="in-secret", environment={"KEY": "env-secret"})
    with pytest.raises(CommandFailedError, match="exit code 4") as caught:
        Commands().run(order, lambda _: None)
    assert "oops" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_missing_folder_and_a_missing_program_are_errors(tmp_path: Path) -> None:
    with pytest.raises(CommandFailedError, match="cannot start"):
        Commands().run(shell("true", directory=str(tmp_path / "none")), lambda _: None)
    with pytest.raises(CommandFailedError, match="127"):
        Commands().run(CommandRequest(argv=["/no/such/program"]), lambda _: None)


def test_cancel_ends_the_command_and_its_children_and_starts_no_other(tmp_path: Path) -> None:
    commands = Commands()

    def cancel(_line: str) -> None:
        commands.cancel()

    with pytest.raises(CommandFailedError, match="cancelled"):
        commands.run(shell(f"sleep 60 & echo $! > {tmp_path}/child; echo go; wait"), cancel)
    assert ends(written(tmp_path / "child"))
    with pytest.raises(CommandFailedError, match="cancelled"):
        commands.run(shell("true"), lambda _: None)


def test_a_killed_plugin_takes_its_commands_along(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    script = f"sleep 60 & echo $! > {tmp_path}/child; wait"
    guard = subprocess.Popen(
        [sys.executable, "-I", "-S", str(GUARD), str(reading), "/bin/sh", "-c", script],
        pass_fds=[reading],
        start_new_session=True,
    )
    os.close(reading)
    child = written(tmp_path / "child")
    os.close(writing)  # what the kernel does when the plugin is killed
    assert guard.wait(timeout=60) != 0
    assert ends(child)


def diff(old: dict[str, object], new: dict[str, object]) -> provider_pb2.DiffResponse:
    request = provider_pb2.DiffRequest(urn=URN, old_inputs=property_codec.write(old), news=property_codec.write(new))
    return CommandServicer(Log(), "1.2.1", "about").Diff(request, None)


def test_triggers_replace_and_everything_else_updates_in_place() -> None:
    assert diff({"create": "a", "triggers": ["1"]}, {"create": "a", "triggers": ["2"]}).replaces == ["triggers"]
    changed = diff({"create": "a"}, {"create": "b"})
    assert (list(changed.diffs), list(changed.replaces)) == (["create"], [])
    same = diff(
        {"create": "a", "stdin": property_codec.secret("x")}, {"create": "a", "stdin": property_codec.secret("x")}
    )
    assert same.changes == provider_pb2.DiffResponse.DIFF_NONE


def check(token: str, inputs: dict[str, object]) -> list[str]:
    request = provider_pb2.CheckRequest(urn=f"urn:pulumi:local::p::{token}::c", news=property_codec.write(inputs))
    answer = CommandServicer(Log(), "1.2.1", "about").Check(request, None)
    return [failure.property or failure.reason for failure in answer.failures]


def test_unsupported_inputs_are_refused_by_name() -> None:
    assert check(TOKEN, {"create": "a", "logging": "none"}) == []
    assert check(TOKEN, {"assetPaths": ["*"]}) == ["assetPaths"]
    assert check(TOKEN, {"logging": "loud"}) == ["logging"]
    assert "supports only" in check("command:remote:Command", {"create": "a"})[0]


def create(inputs: dict[str, object], *, preview: bool = False) -> tuple[property_codec.Properties, list[str]]:
    log = Log()
    request = provider_pb2.CreateRequest(urn=URN, properties=property_codec.write(inputs), preview=preview)
    answer = CommandServicer(log, "1.2.1", "about").Create(request, None)  # type: ignore[arg-type]
    return property_codec.read(answer.properties), log.lines


def test_output_is_secret_as_soon_as_an_input_is() -> None:
    state, lines = create({"create": "cat", "stdin": property_codec.secret("hush"), "logging": "none"})
    assert state["stdout"] == property_codec.secret("hush")
    assert state["stdin"] == property_codec.secret("hush")
    assert lines == []
    assert create({"create": "echo loud"})[0]["stdout"] == "loud"


def test_a_preview_runs_nothing_and_knows_no_output(tmp_path: Path) -> None:
    state, _ = create({"create": f"touch {tmp_path}/ran"}, preview=True)
    assert state["stdout"] == property_codec.UNKNOWN
    assert not (tmp_path / "ran").exists()


def test_the_output_of_the_run_before_is_in_the_environment_unless_refused() -> None:
    assert _command_request("x", {}, {"stdout": "old"}).environment == {"PULUMI_COMMAND_STDOUT": "old"}
    assert _command_request("x", {"addPreviousOutputInEnv": False}, {"stdout": "old"}).environment == {}


def test_the_schema_is_that_of_the_published_package() -> None:
    schema = json.loads(GUARD.with_name("schema.json").read_text())["resources"][TOKEN]
    from pulumi_command.local import Command  # noqa: PLC0415

    published = {name for name, value in vars(Command).items() if isinstance(value, property)}
    ours = set(schema["properties"])
    spelled = {"add_previous_output_in_env" if name == "addPreviousOutputInEnv" else name for name in ours}
    assert spelled <= published
    assert published - spelled - {"urn", "id", "pulumi_resource_name", "pulumi_resource_type"} == {
        "archive", "archive_paths", "asset_paths", "assets",
    }  # fmt: skip


def test_the_stand_in_identifies_itself() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "tools.plugins.command", "--version"], capture_output=True, text=True, check=True
    )
    assert "stand-in" in answer.stdout
