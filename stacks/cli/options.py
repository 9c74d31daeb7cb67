"""The command line of `python -m stacks.cli`."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping

from stacks.cli.errors import CliError

_YES = frozenset(("1", "yes", "true"))
_NO = frozenset(("0", "no", "false"))

_CONFIRM = "1 or the environment's name, to skip the question"
_FLAGS = frozenset({"follow", "json", "keep-volumes", "list"})
"""Options with the value 1 or 0; without a value they are 1."""

_OPTIONS: Mapping[str, Mapping[str, str]] = {
    "up": {"placement": "use this saved placement plan", "yes": _CONFIRM},
    "pause": {"yes": _CONFIRM},
    "resume": {"yes": _CONFIRM},
    "destroy": {"yes": _CONFIRM},
    "placement": {"file": "save the plan to this file, as JSON"},
    "doctor": {"json": "print one JSON object"},
    "sweep": {
        "ids": "delete these pods too, even if another stack owns them; ids separated by spaces",
        "volumes": "delete these volumes too; ids separated by spaces",
        "yes": _CONFIRM,
    },
    "break-glass": {
        "instance": "instance to delete, when several have this name",
        "keep-volumes": "keep volumes",
        "yes": _CONFIRM,
    },
    "logs": {"follow": "keep printing new lines"},
    "ssh": {"cmd": "run this command instead of a shell"},
    "backup": {"file": "write the backup to this file"},
    "restore": {"file": "backup to restore", "yes": _CONFIRM},
    "init": {"secrets": "key service that encrypts secrets, such as awskms://alias/x; by default a passphrase"},
    "key": {
        "list": "list all keys, without secrets",
        "name": "create a key with this name",
        "scopes": "scopes of the new key; by default client",
        "owner": "user who owns the new key",
        "expires": "expiry of the new key: 30d, 12h, a date, or never",
        "limits": 'limits of the new key, as JSON: {"max_queued": 5}',
        "rotate": "id of a key to give a new secret",
        "revoke": "id of a key to revoke at once",
    },
}
"""The options of each command in addition to `--env`; other commands have none."""


def parser(commands: Collection[str], default_env: str) -> argparse.ArgumentParser:
    """Return the parser, with a subparser for each command; every option takes a text, as make passes it."""
    made = argparse.ArgumentParser(prog="python -m stacks.cli")
    subparsers = made.add_subparsers(dest="command", required=True)
    for command in sorted(commands):
        own = subparsers.add_parser(command)
        own.add_argument("--env", default=default_env, help="environment (Pulumi stack); default %(default)s")
        for name, text in _OPTIONS.get(command, {}).items():
            if name in _FLAGS:
                own.add_argument(f"--{name}", help=text, nargs="?", const="1")
            else:
                own.add_argument(f"--{name}", help=text)
    return made


def checked(options: argparse.Namespace) -> argparse.Namespace:
    """Return the options with flags as bool.

    Raises:
        CliError: An option is empty, most likely because of an unset variable.
    """
    for name, text in vars(options).items():
        if isinstance(text, str) and not text.strip():
            raise CliError(f"{variable(name)} is empty; give it a value, or leave {variable(name)}= out")
    for name in {flag.replace("-", "_") for flag in _FLAGS} & vars(options).keys():
        setattr(options, name, _flag(name, getattr(options, name)))
    return options


def variable(option: str) -> str:
    """Return the name of an option in make."""
    return option.replace("-", "_").upper()


def _flag(name: str, text: str | None) -> bool:
    if text is not None and text.lower() not in _YES | _NO:
        raise CliError(f"{variable(name)} is 1 or 0, not {text!r}")
    return text is not None and text.lower() in _YES


def says_yes(word: str | None, env: str) -> bool:
    """Return whether YES= confirms in advance: `1`, or the name of this environment.

    Raises:
        CliError: The word is neither, such as the name of another environment.
    """
    if word is None or word.lower() in _NO:
        return False
    if word.lower() in _YES or word == env:
        return True
    raise CliError(f"YES={word} is neither 1 nor {env}, so nothing was done")
