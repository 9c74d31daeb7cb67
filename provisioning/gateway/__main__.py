"""`python -m provisioning.gateway`: serve, and manage keys on the pod."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from provisioning.gateway.accounts.store import KeyStore
from provisioning.gateway.cli import commands as cli
from provisioning.gateway.core import database_url, logs
from provisioning.gateway.core.clock import SystemClock
from provisioning.gateway.core.database import backup
from provisioning.gateway.core.database.database import DatabaseError, open_database
from provisioning.gateway.core.problems import Problem
from provisioning.gateway.core.settings import GatewaySettings, SettingsError, load
from provisioning.gateway.server.serve import serve


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns 0, 1 when it did not find what was asked for, 2 when it could not start."""
    options = _parser().parse_args(arguments)
    try:
        settings = load(options.config)
        os.umask(_umask(settings))
        return _run(options, settings)
    except (SettingsError, DatabaseError, backup.BackupError, OSError, Problem) as error:
        sys.stderr.write(f"{error.detail if isinstance(error, Problem) else error}\n")
        return 2


def _umask(settings: GatewaySettings) -> int:
    """Return the umask: 077, or 0 where the files of the gateway are on a network volume.

    On a network volume all files are root's, and the gateway is one of the others there. What keeps ComfyUI's user out
    is Landlock or the folder that the volume is mounted in; on the container disk, the modes of the gateway's folders.
    """
    return 0o077 if settings.log is None and settings.files is None else 0o000


def _run(options: argparse.Namespace, settings: GatewaySettings) -> int:
    _become_gateway_user(settings)
    if options.command == "serve":
        logs.configure()
        return 0 if serve(settings) else 2
    if options.command in {"backup", "restore"}:
        return _copy(options, settings)
    database = open_database(settings)
    try:
        store = KeyStore(database, settings.pepper.get_secret_value(), SystemClock())
        return asyncio.run(cli.run(store, options))
    finally:
        database.close()


def _become_gateway_user(settings: GatewaySettings) -> None:
    """As root, become the user of the gateway, so that it can use every file that a command creates."""
    file = database_url.file_of(settings.database)
    if settings.log is None or file is None or os.geteuid() != 0 or not file.parent.is_dir():
        return
    owner = file.parent.stat()
    os.setgroups([])
    os.setgid(owner.st_gid)
    os.setuid(owner.st_uid)


def _copy(options: argparse.Namespace, settings: GatewaySettings) -> int:
    if options.command == "backup":
        backup.backup(settings, options.file)
        sys.stderr.write(f"{options.file}: {options.file.stat().st_size} bytes, as secret as the database\n")
        return 0
    former = backup.restore(settings, options.file)
    kept = f" The database of before is {former}." if former else ""
    sys.stderr.write(f"Restored: jobs, keys and revocations are those of the backup.{kept} Start the gateway now.\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    config = argparse.ArgumentParser(add_help=False)
    config.add_argument("--config", type=Path, required=True, help="the gateway's settings, a JSON file")
    parser = argparse.ArgumentParser(prog="python -m provisioning.gateway", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", parents=[config], help="serve until SIGTERM")
    save = commands.add_parser("backup", parents=[config], help="copy the database to a file; the gateway may serve")
    save.add_argument("file", type=Path, help="a file that is not there yet")
    load_back = commands.add_parser("restore", parents=[config], help="put a backup in the database's place")
    load_back.add_argument("file", type=Path, help="what `backup` wrote; the gateway has to be stopped")
    cli.add_parsers(commands, config)
    return parser


if __name__ == "__main__":
    sys.exit(main())
