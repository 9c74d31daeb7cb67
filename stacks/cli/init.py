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


def run(place: Place, secrets_provider: str = "") -> None:
    """Do what is missing; what is there stays as it is, and is said.

    Args:
        place: The environment.
        secrets_provider: A key service, such as `awskms://...`; else the stack file's, a passphrase, or Pulumi Cloud.

    Raises:
        CliError: the stack file is encrypted with a passphrase that is not here, or no key was given.
    """
    content = place.stack_yaml()
    key = None if _KEY in (content.get("config") or {}) else _read_key()  # asked first: without it nothing is begun
    if secrets_provider and content.get("encryptionsalt"):
        raise CliError(
            f"{place.stack_file.name} is encrypted with a passphrase; `pulumi stack change-secrets-provider -s "
            f"{place.env} {secrets_provider}` changes that"
        )
    if not secrets_provider:
        _passphrase(place, is_encrypted=bool(content.get("encryptionsalt")))
    engine = environment.addressed(Engine(place, environment.for_engine(place, os.environ)))
    if stack.ensure(engine, secrets_provider):
        print(f"made the stack {engine.stack or place.env}")
    if key is None:
        print(f"{place.stack_file.name} has {_KEY} already; `pulumi config set --secret {_KEY}` changes it")
    else:
        _store(engine, key)
    print(f"{place.env} is ready: `make preview ENV={place.env}`, then `make up ENV={place.env}`")
    print(f"commit {place.stack_file.relative_to(place.root)}: the key is encrypted there, nothing in it is in clear")


def _passphrase(place: Place, *, is_encrypted: bool) -> None:
    """Make a passphrase where one is needed and none is known."""
    if passphrase.settings(place, os.environ) is not None:
        return
    if is_encrypted:
        raise CliError(
            f"{place.stack_file.name} is encrypted already and its passphrase is not here: put it into "
            f"{passphrase.private_file(place)} or set PULUMI_CONFIG_PASSPHRASE"
        )
    print(f"made a passphrase: {passphrase.create(place)} (keep a copy: without it the secrets are lost)")


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
