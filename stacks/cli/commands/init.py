"""Prepare a real environment: passphrase, salt, stack and the RunPod key as an encrypted setting."""

from __future__ import annotations

import getpass
import os
import sys

from stacks.cli.checkout import Checkout
from stacks.cli.errors import CliError
from stacks.cli.pulumi import environment, passphrase, stack
from stacks.cli.pulumi.engine import Engine

_KEY = "runpod:apiKey"


def run(checkout: Checkout, secrets_provider: str = "") -> None:
    """Create what is missing and print what exists already.

    Args:
        checkout: The checkout and its environment.
        secrets_provider: A key service, such as `awskms://...`; default: as in the stack file, or a passphrase.

    Raises:
        CliError: the stack file is encrypted with a passphrase that is not on this machine, or no key was given.
    """
    content = checkout.stack_yaml()
    key = (
        None if _KEY in (content.get("config") or {}) else _read_key()
    )  # asked first: without a key nothing is created
    if secrets_provider and content.get("encryptionsalt"):
        raise CliError(
            f"{checkout.stack_file.name} is encrypted with a passphrase; `pulumi stack change-secrets-provider -s "
            f"{checkout.env} {secrets_provider}` changes that"
        )
    if not secrets_provider:
        _passphrase(checkout, is_encrypted=bool(content.get("encryptionsalt")))
    engine = environment.addressed(Engine(checkout, environment.for_engine(checkout, os.environ)))
    if stack.ensure(engine, secrets_provider):
        print(f"created the stack {engine.stack or checkout.env}")
    if key is None:
        print(f"{checkout.stack_file.name} has {_KEY} already; to change it, run `pulumi config set --secret {_KEY}`")
    else:
        _store(engine, key)
    print(f"{checkout.env} is ready: `make preview ENV={checkout.env}`, then `make up ENV={checkout.env}`")
    print(f"commit {checkout.stack_file.relative_to(checkout.root)}: the key in it is encrypted")


def _passphrase(checkout: Checkout, *, is_encrypted: bool) -> None:
    """Create a passphrase if one is needed and none exists."""
    if passphrase.settings(checkout, os.environ) is not None:
        return
    if is_encrypted:
        raise CliError(
            f"{checkout.stack_file.name} is encrypted with a passphrase that is not on this machine: put it into "
            f"{passphrase.private_file(checkout)} or set PULUMI_CONFIG_PASSPHRASE"
        )
    print(f"created a passphrase: {passphrase.create(checkout)} (keep a copy: without it the secrets are lost)")


def _read_key() -> str:
    """Return the key from RUNPOD_API_KEY, from a pipe, or from a hidden prompt."""
    key = os.environ.get("RUNPOD_API_KEY", "").strip()
    if not key and sys.stdin.isatty():
        key = getpass.getpass("RunPod API key (hidden): ").strip()
    elif not key:
        key = sys.stdin.readline().strip()
    if not key:
        raise CliError(
            "no RunPod API key was given; create one at https://console.runpod.io/user/settings and run this again"
        )
    return key


def _store(engine: Engine, key: str) -> None:
    """Write the setting through the engine's standard input: every user of the machine can see arguments."""
    engine.query_with_input(key, "config", "set", "--secret", _KEY)
    print(f"stored {_KEY}, encrypted, in {engine.checkout.stack_file.name}")
