"""The source of the passphrase that encrypts a stack's secrets."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from stacks.cli.checkout import Checkout
from stacks.cli.errors import CliError
from stacks.cli.pulumi import backend

_PUBLIC = Path(__file__).with_name("public_passphrases")


def settings(checkout: Checkout, environ: Mapping[str, str]) -> dict[str, str] | None:
    """Return the variables that give the engine the passphrase; None when one is needed and none is known.

    The caller's variables win, then the file that `make init` wrote, then a public passphrase: the repository contains
    the passphrase of an environment without secrets.
    """
    own = environ.get("PULUMI_CONFIG_PASSPHRASE") is not None or _is_foreign(checkout, environ)
    if own or not backend.needs_passphrase(checkout, environ):
        return {}
    for file in (private_file(checkout), _PUBLIC / checkout.env):
        if file.exists():
            return {"PULUMI_CONFIG_PASSPHRASE_FILE": str(file)}
    return None


def _is_foreign(checkout: Checkout, environ: Mapping[str, str]) -> bool:
    """Return whether the caller set a file outside the project; `make env` may have set another environment's."""
    named = environ.get("PULUMI_CONFIG_PASSPHRASE_FILE", "")
    return bool(named) and Path(named).parent not in {private_file(checkout).parent, _PUBLIC}


def private_file(checkout: Checkout) -> Path:
    """Return the path of this environment's own passphrase, readable only by its owner."""
    return checkout.state / "passphrases" / checkout.env


def create(checkout: Checkout) -> Path:
    """Write a random passphrase.

    Raises:
        CliError: there is one already; it is never overwritten, because it may be the only copy.
    """
    file = private_file(checkout)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise CliError(f"{file} exists already and was kept; move it away first to replace it") from error
    with os.fdopen(descriptor, "w") as handle:
        handle.write(secrets.token_urlsafe(32))
    return file
