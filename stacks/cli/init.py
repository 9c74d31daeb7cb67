"""Prepare a real environment: passphrase, salt, stack and the RunPod key as an encrypted setting."""

from __future__ import annotations

import getpass
import os
import sys

from stacks.cli import environment, passphrase, stack
from stacks.cli.engine import Engine
from stacks.cli.errors import CliError
from stacks.cli.place import Place

_KEY = "runpod:apiKey"


def run(place: Place) -> None:
    """Do what is missing; what is there stays as it is, and is said.

    Raises:
        CliError: the stack file is encrypted with a passphrase that is not here, or no key was given.
    """
    content = place.stack_yaml()
    key = None if _KEY in (content.get("config") or {}) else _read_key()  # asked first: without it nothing is begun
    if passphrase.settings(place, os.environ) is None:
        if content.get("encryptionsalt"):
            raise CliError(
                f"{place.stack_file.name} is encrypted already and its passphrase is not here: put it into "
                f"{passphrase.private_file(place)} or set PULUMI_CONFIG_PASSPHRASE"
            )
        print(f"made a passphrase: {passphrase.create(place)} (keep a copy: without it the secrets are lost)")
    engine = environment.prepared(place, os.environ)
    stack.prepare(engine)
    if key is None:
        print(f"{place.stack_file.name} has {_KEY} already; `pulumi config set --secret {_KEY}` changes it")
    else:
        _store(engine, key)
    print(f"{place.env} is ready: `make preview ENV={place.env}`, then `make up ENV={place.env}`")
    print(
        f"commit {place.stack_file.relative_to(place.root)}: it holds the salt and the encrypted key, nothing in clear"
    )


def _read_key() -> str:
    """The key from RUNPOD_API_KEY, from a pipe, or typed unseen."""
    key = os.environ.get("RUNPOD_API_KEY", "").strip()
    if not key and sys.stdin.isatty():
        key = getpass.getpass("RunPod API key (hidden): ").strip()
    elif not key:
        key = sys.stdin.readline().strip()
    if not key:
        raise CliError(
            "no RunPod API key was given; make one at https://console.runpod.io/user/settings and run it again"
        )
    return key


def _store(engine: Engine, key: str) -> None:
    """Write the setting through the engine's standard input: arguments are visible to every user of the machine."""
    engine.tell(key, "config", "set", "--secret", _KEY)
    print(f"stored {_KEY}, encrypted, in {engine.place.stack_file.name}")
