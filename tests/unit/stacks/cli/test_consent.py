"""Who may say yes to a loss, and what an option without a value does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from components.naming import PROJECT
from stacks.cli import __main__ as commands
from stacks.cli import consent, options
from stacks.cli.checkout import Checkout
from stacks.cli.consent import Consent
from stacks.cli.errors import CliError

LOSSES = ["volume v1 (100 GB): models and outputs"]


def person(text: str) -> Callable[[str], str]:
    return lambda _prompt: text


def nobody(_prompt: str) -> str:
    raise EOFError


@pytest.mark.parametrize(
    "agreed", [Consent("dev", given=True), Consent("dev", answer=person("dev")), Consent("dev", confirms=False)]
)
def test_yes_the_terminal_or_a_setting_confirms_and_losses_are_printed(
    agreed: Consent, capsys: pytest.CaptureFixture[str]
) -> None:
    agreed.require("this ends dev", LOSSES)
    assert capsys.readouterr().out == "this ends dev:\n  volume v1 (100 GB): models and outputs\n"


@pytest.mark.parametrize("refuses", [person("y"), person(""), person("prod"), nobody])
def test_any_other_answer_is_a_refusal(refuses: Callable[[str], str]) -> None:
    with pytest.raises(CliError, match="not confirmed"):
        Consent("dev", answer=refuses).require("this ends dev", LOSSES)
    assert not Consent("dev", answer=refuses).offer("end it?")


def test_without_a_terminal_yes_is_required_and_losses_are_printed() -> None:
    with pytest.raises(
        CliError, match=r"this ends dev:\n  volume v1.*\nnothing was done; run it again with YES=1 or YES=dev"
    ):
        Consent("dev").require("this ends dev", LOSSES)
    assert not Consent("dev").offer("end it?")


@pytest.mark.parametrize(
    ("word", "yes"), [("1", True), ("yes", True), ("dev", True), (None, False), ("0", False), ("no", False)]
)
def test_yes_is_one_or_the_environments_name(word: str | None, yes: bool) -> None:
    assert options.says_yes(word, "dev") is yes


def test_the_name_of_another_environment_does_not_confirm() -> None:
    with pytest.raises(CliError, match="YES=prod is neither 1 nor dev"):
        options.says_yes("prod", "dev")


@pytest.mark.parametrize(
    "arguments",
    [
        ["key", "--name="], ["key", "--revoke="], ["key", "--rotate", " "], ["key", "--list="], ["key", "--owner="],
        ["ssh", "--cmd="], ["sweep", "--ids="], ["sweep", "--volumes=", "--yes=1"], ["break-glass", "--instance="],
        ["break-glass", "--keep-volumes="], ["up", "--placement="], ["placement", "--file="], ["destroy", "--env="],
        ["up", "--yes="],
    ],
)  # fmt: skip
def test_an_option_without_a_value_is_refused_before_anything_is_done(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.main(arguments) == 1
    said = capsys.readouterr()
    assert said.out == ""
    name = arguments[1].split("=")[0].removeprefix("--").replace("-", "_").upper()
    assert f"error: {name} is empty" in said.err


@pytest.mark.parametrize("arguments", [["pods", "--yes=1"], ["pause", "--volumes=v1"], ["destroy", "--keep-volumes"]])
def test_an_option_of_another_command_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        commands.main(arguments)
    assert f"unrecognized arguments: {arguments[1]}" in capsys.readouterr().err


def test_a_flag_is_one_or_zero() -> None:
    assert options.checked(commands.parser().parse_args(["break-glass", "--keep-volumes=0"])).keep_volumes is False
    assert options.checked(commands.parser().parse_args(["key", "--list"])).list is True
    with pytest.raises(CliError, match="KEEP_VOLUMES is 1 or 0, not 'maybe'"):
        options.checked(commands.parser().parse_args(["break-glass", "--keep-volumes", "maybe"]))


@pytest.mark.parametrize(
    ("written", "confirms"), [("", True), ("true", True), ("false", False), ('"false"', False), ('"true"', True)]
)
def test_the_setting_counts_also_as_pulumi_writes_it(tmp_path: Path, written: str, confirms: bool) -> None:
    (tmp_path / "stacks").mkdir()
    line = f"  {PROJECT}:confirm: {written}\n" if written else "  other: 1\n"
    (tmp_path / "stacks/Pulumi.local.yaml").write_text(f"config:\n{line}")
    assert consent.from_option(Checkout(tmp_path, "local"), None).confirms is confirms
