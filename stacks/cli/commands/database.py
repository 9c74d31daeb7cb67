"""`make backup` and `make restore`: the gateway's database of an environment, to a file here and back."""

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
    """Write a backup to a new file that only its owner can read; the gateway serves meanwhile.

    The file appears whole or not at all.

    Raises:
        CliError: No file was named, or it is there already, or the pod gave nothing.
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
    """Open a private file beside the path, and give it the path's name when all went well."""
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
    """Put a backup in the database's place; the gateway is stopped for it, and started again.

    Raises:
        CliError: No such file was named, or nobody said that it shall be done.
    """
    path = _named(file)
    if not path.is_file():
        raise CliError(f"{path} does not exist")
    lost = f"its jobs, keys, revocations and usage are replaced by those of {path}"
    strict = dataclasses.replace(consent, confirms=True)
    strict.require(f"this stops the gateway of {engine.checkout.env} for some seconds", [lost])
    with path.open("rb") as source:
        return pod.shell(engine, [f"{_TOOL} restore"], given=source)


def _named(file: str) -> Path:
    if not file:
        raise CliError("give the backup's file: FILE=gateway.backup")
    return Path(file)
