"""The command line of `python -m stacks.cli`."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping

from stacks.cli.errors import CliError

_YES = frozenset(("1", "yes", "true"))
_NO = frozenset(("0", "no", "false"))

_TEXTS: Mapping[str, str] = {
    "cmd": "ssh: run this instead of a shell",
    "file": "placement: the plan, as JSON; backup and restore: the copy",
    "placement": "up: place the pod by this saved plan",
    "yes": "up, destroy, sweep, break-glass, restore: 1 or the environment's name; do it without asking",
    "ids": "sweep: end these pods too, whosever they are; ids, separated by spaces",
    "volumes": "sweep: delete these volumes; ids, separated by spaces",
    "instance": "break-glass: which of several stacks of that name",
    "name": "key: issue one, for this",
    "scopes": "key: what it may do; client when left out",
    "owner": "key: the user whose jobs and files it sees",
    "expires": "key: 30d, 12h, a date, or never",
    "limits": 'key: its own, as JSON: {"max_queued": 5}',
    "rotate": "key: give this one, by id, a new secret",
    "secrets": "init: the key service that encrypts secrets, such as awskms://alias/x; a passphrase when left out",
    "revoke": "key: end this one, by id, at once",
}
_FLAGS: Mapping[str, str] = {
    "follow": "logs: go on with what comes",
    "json": "doctor: print one JSON object",
    "keep-volumes": "break-glass: leave volumes alone",
    "list": "key: show all, without their secrets",
}


def parser(commands: Collection[str], default_env: str) -> argparse.ArgumentParser:
    """Return the parser: every option takes a text, as make has it."""
    made = argparse.ArgumentParser(prog="python -m stacks.cli")
    made.add_argument("command", choices=sorted(commands))
    made.add_argument("--env", default=default_env, help="environment, that is, stack (default %(default)s)")
    for name, text in _TEXTS.items():
        made.add_argument(f"--{name}", help=text)
    for name, text in _FLAGS.items():
        made.add_argument(f"--{name}", help=text, nargs="?", const="1")
    return made


def checked(options: argparse.Namespace) -> argparse.Namespace:
    """Return the options with flags as bool.

    Raises:
        CliError: An option was given with an empty text, most likely by a variable that is not set.
    """
    for name, text in vars(options).items():
        if isinstance(text, str) and not text.strip():
            raise CliError(f"{variable(name)} is empty; give it a value, or leave {variable(name)}= out")
    for name in (flag.replace("-", "_") for flag in _FLAGS):
        setattr(options, name, _flag(name, getattr(options, name)))
    return options


def variable(option: str) -> str:
    """Return what make calls an option."""
    return option.replace("-", "_").upper()


def _flag(name: str, text: str | None) -> bool:
    if text is not None and text.lower() not in _YES | _NO:
        raise CliError(f"{variable(name)} is 1 or 0, not {text!r}")
    return text is not None and text.lower() in _YES


def says_yes(word: str | None, env: str) -> bool:
    """Return whether YES= says to go on without asking: `1`, or the name of this very environment.

    Raises:
        CliError: It says neither yes nor no, such as the name of another environment.
    """
    if word is None or word.lower() in _NO:
        return False
    if word.lower() in _YES or word == env:
        return True
    raise CliError(f"YES={word} is neither 1 nor {env}, so nothing was done")
