"""What make hands to a command: texts as they were typed, and whether a text was named at all."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
TYPED = "echo $HOME $X/$Y \"q\" 'p' $(id) `id` #c %d \\n"


ARGUMENTS = "sys.argv[1:]"


def handed_over(*words: str, shown: str = ARGUMENTS, **environ: str) -> list[str]:
    """Run a target with a program in the place of the commands that prints its arguments, one a line."""
    show = f"""python3 -c 'import os, sys; print("\\0".join({shown}), end="")'"""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"}}
    messages = subprocess.run(
        ["make", "-s", *words, "READY=@:", f"RUN=@{show}", f"KEY_ALONE=@{show}"],
        cwd=ROOT, env={**kept, **environ}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return messages.stdout.split("\0")


pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


@pytest.mark.parametrize(
    ("target", "name", "option"),
    [
        ("ssh", "CMD", "cmd"), ("backup", "FILE", "file"), ("sweep", "IDS", "ids"), ("up", "PLACEMENT", "placement"),
        ("key", "NAME", "name"), ("key", "LIMITS", "limits"), ("break-glass", "INSTANCE", "instance"),
        ("restore", "YES", "yes"),
    ],
)  # fmt: skip
def test_a_text_arrives_as_it_was_typed(target: str, name: str, option: str) -> None:
    assert handed_over(target, f"{name}={TYPED}") == [target, "--env=local", f"--{option}={TYPED}"]


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        (("key",), []),
        (("key", "NAME="), ["--name="]),
        (("key", "LIST="), ["--list="]),
        (("ssh", "CMD="), ["--cmd="]),
        (("sweep", "YES=1"), ["--yes=1"]),
        (("break-glass", "KEEP_VOLUMES="), ["--keep-volumes="]),
    ],
)
def test_what_was_named_arrives_also_when_it_is_empty(words: tuple[str, ...], arguments: list[str]) -> None:
    assert handed_over(*words) == [words[0], "--env=local", *arguments]


def test_an_environment_is_one_word_whatever_is_in_it() -> None:
    assert handed_over("pods", "ENV=a b") == ["pods", "--env=a b"]


def test_a_name_of_the_system_is_no_name_of_a_key() -> None:
    assert handed_over("key", NAME="laptop", LIST="x") == ["key", "--env=local"]
    assert handed_over("backup", FILE="copy") == ["backup", "--env=local", "--file=copy"]


def test_a_make_below_another_is_given_nothing_that_nobody_named() -> None:
    """As where tests that `make test` runs start `make up`: an empty PLACEMENT there would be refused."""
    named = set(handed_over("pods", "IDS=a b", shown="os.environ"))
    assert {"ENV", "IDS"} <= named
    assert {"PLACEMENT", "CMD", "VOLUMES", "INSTANCE", "FILE", "YES", "JSON"}.isdisjoint(named)
