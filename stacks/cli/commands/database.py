"""`make backup` and `make restore`: copy an environment's gateway database to a local file, and restore it."""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from provisioning import contract
from stacks.cli.commands import pod
from stacks.cli.consent import Consent
from stacks.cli.errors import CliError
from stacks.cli.pulumi.engine import Engine

_TOOL = f'"${{POD_ROOT:-}}{contract.LOCAL}/boot/start" database'


def backup(engine: Engine, file: str) -> int:
    """Write a backup to a new file that only its owner can read; the gateway keeps running.

    The file appears whole or not at all.

    Raises:
        CliError: No file was named, it exists already, or the pod sent nothing.
    """
    path = _named(file)
    if path.exists():
        raise CliError(f"{path} exists already; choose another name")
    with _new_file(path) as target:
        status = pod.shell(engine, [f"{_TOOL} backup"], output=target)
        target.flush()
        if status or not os.fstat(target.fileno()).st_size:
            raise CliError(f"no backup was made (exit status {status}); the lines above say why")
    print(
        f"{path}: {path.stat().st_size} bytes; it contains prompts and hashes of keys, so keep it private",
        file=sys.stderr,
    )
    return 0


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """Open a private temporary file beside the path, and rename it to the path on success."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise CliError(f"cannot write {path}: {error.strerror}") from error
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as target:
            yield target
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)


def restore(engine: Engine, file: str, consent: Consent) -> int:
    """Replace the database with a backup; the gateway stops during the restore.

    Raises:
        CliError: The file does not exist, or the restore was not confirmed.
    """
    path = _named(file)
    if not path.is_file():
        raise CliError(f"{path} does not exist")
    lost = f"its jobs, keys, revocations and usage are replaced with those in {path}"
    strict = dataclasses.replace(consent, confirms=True)
    strict.require(f"this stops the gateway of {engine.checkout.env} for a few seconds", [lost])
    with path.open("rb") as source:
        return pod.shell(engine, [f"{_TOOL} restore"], given=source)


def _named(file: str) -> Path:
    if not file:
        raise CliError("give the backup's file: FILE=gateway.backup")
    return Path(file)
