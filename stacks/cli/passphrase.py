"""Where the passphrase comes from that a stack's secrets are encrypted with."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from stacks.cli import backend
from stacks.cli.errors import CliError
from stacks.cli.place import Place

_PUBLIC = Path(__file__).with_name("public_passphrases")


def settings(place: Place, environ: Mapping[str, str]) -> dict[str, str] | None:
    """The environment variables that give the engine the passphrase; None when none is known here and one is needed.

    The caller's own variables win, then the file `make init` wrote, then a public one: an environment that guards
    nothing has its passphrase in the repository, so that nobody has to be told it.
    """
    own = environ.get("PULUMI_CONFIG_PASSPHRASE") is not None or _is_foreign(place, environ)
    if own or not backend.needs_passphrase(place, environ):
        return {}
    for file in (private_file(place), _PUBLIC / place.env):
        if file.exists():
            return {"PULUMI_CONFIG_PASSPHRASE_FILE": str(file)}
    return None


def _is_foreign(place: Place, environ: Mapping[str, str]) -> bool:
    """Whether the caller names a file of his own; one of ours may be for another environment, from `make env`."""
    named = environ.get("PULUMI_CONFIG_PASSPHRASE_FILE", "")
    return bool(named) and Path(named).parent not in {private_file(place).parent, _PUBLIC}


def private_file(place: Place) -> Path:
    """Where this environment's own passphrase lies, readable by its owner alone."""
    return place.state / "passphrases" / place.env


def create(place: Place) -> Path:
    """Write a random passphrase.

    Raises:
        CliError: there is one already; it is never overwritten, for it may be the only copy.
    """
    file = private_file(place)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise CliError(f"{file} exists already and is kept; move it away first if you mean to lose it") from error
    with os.fdopen(descriptor, "w") as handle:
        handle.write(secrets.token_urlsafe(32))
    return file
