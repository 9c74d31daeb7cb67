"""`make backup` and `make restore`: the gateway's database of an environment, to a file here and back."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from provisioning import contract
from stacks.cli import pod
from stacks.cli.engine import Engine
from stacks.cli.errors import CliError

_TOOL = f'"${{POD_ROOT:-}}{contract.HOME}/boot/start" database'


def backup(engine: Engine, file: str) -> int:
    """Write a backup to a new file that only its owner can read; the gateway serves meanwhile.

    Raises:
        CliError: no file was named, or it is there already, or the pod gave nothing.
    """
    path = _named(file)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CliError(f"{path} cannot be made ({error.strerror}); name a file that is not there yet") from error
    with os.fdopen(descriptor, "wb") as target:
        status = pod.shell(engine, [f"{_TOOL} backup"], output=target)
    if status or not path.stat().st_size:
        path.unlink()
        raise CliError(f"no backup was made (exit status {status}); the lines above say why")
    print(f"{path}: {path.stat().st_size} bytes; prompts and keys' digests are in it", file=sys.stderr)
    return 0


def restore(engine: Engine, file: str, *, act: bool) -> int:
    """Put a backup in the database's place; the gateway is stopped for it, and started again.

    Raises:
        CliError: no such file was named, or nobody said that it shall be done.
    """
    path = _named(file)
    if not path.is_file():
        raise CliError(f"{path} is not there")
    if not act:
        raise CliError(
            f"this stops the gateway of {engine.place.env} and replaces its jobs, keys, revocations and usage by those "
            f"of {path}; say YES=1 to do it"
        )
    with path.open("rb") as source:
        return pod.shell(engine, [f"{_TOOL} restore"], given=source)


def _named(file: str) -> Path:
    if not file:
        raise CliError("name the backup: FILE=gateway.backup")
    return Path(file)
