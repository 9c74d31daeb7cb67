"""Finds the stack of a plain `pulumi` command, so that the command gets that stack's passphrase."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from components.naming import PROJECT

CURRENT_SETTINGS = "--run-program"
"""Makes the refresh before `up` and `preview` use the current key and address: the last `up`'s may be revoked."""
_REFRESHING = frozenset(("up", "update", "preview", "pre"))


def selected_stack(arguments: Sequence[str], root: Path, environ: Mapping[str, str]) -> str:
    """Return the stack named on the command line, by PULUMI_STACK, or selected in this checkout; empty for none."""
    spaced = (value for flag, value in pairwise(arguments) if flag in {"-s", "--stack"})
    joined = (word.partition("=")[2] for word in arguments if word.startswith("--stack="))
    return next(iter((*spaced, *joined)), "") or environ.get("PULUMI_STACK", "") or _selected(root)


def stack_name(arguments: Sequence[str], root: Path, environ: Mapping[str, str]) -> str | None:
    """Return the environment, which is the last part of that name; None when no stack is selected."""
    return selected_stack(arguments, root, environ).rpartition("/")[2] or None


def command_variables(arguments: Sequence[str]) -> dict[str, str]:
    """Return the variables that a plain command needs; none for `destroy`, which must not need a program."""
    refreshes = "destroy" not in arguments and not _REFRESHING.isdisjoint(arguments)
    return {"PULUMI_RUN_PROGRAM": "true"} if refreshes else {}


def may_change(arguments: Sequence[str]) -> bool:
    """Return whether a plain command may create or delete resources."""
    return not {"destroy", "down", "dn", "refresh"}.isdisjoint(arguments)


def _selected(root: Path) -> str:
    """Return the stack chosen by `pulumi stack select`; each checkout has its own Pulumi folder with one such file."""
    for file in sorted((root / ".cache" / "pulumi-home" / "workspaces").glob(f"{PROJECT}-*-workspace.json")):
        try:
            return str(json.loads(file.read_text()).get("stack") or "")
        except (OSError, ValueError):
            continue
    return ""
