"""`python -m provisioning.gateway`: serve, and manage keys on the pod."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path

from provisioning.gateway import logs
from provisioning.gateway.access.keystore import KeyRecord, KeyStore
from provisioning.gateway.access.scopes import Scope
from provisioning.gateway.clock import SystemClock
from provisioning.gateway.problems import Problem
from provisioning.gateway.serve import serve
from provisioning.gateway.settings import GatewaySettings, SettingsError, load
from provisioning.gateway.storage.database import DatabaseError, open_database

Command = Callable[[KeyStore, argparse.Namespace], Coroutine[None, None, int]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns 0, 1 when it did not find what was asked for, 2 when it could not start."""
    options = _parser().parse_args(arguments)
    # What the gateway writes is nobody else's to read, ComfyUI's user least of all.
    os.umask(0o077)
    try:
        return _run(options, load(options.config))
    except (SettingsError, DatabaseError, Problem) as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _run(options: argparse.Namespace, settings: GatewaySettings) -> int:
    if options.command == "serve":
        logs.configure()
        return 0 if serve(settings) else 2
    database = open_database(settings)
    try:
        store = KeyStore(database, settings.pepper.get_secret_value(), SystemClock())
        return asyncio.run(_COMMANDS[options.action](store, options))
    finally:
        database.close()


async def _list(store: KeyStore, _options: argparse.Namespace) -> int:
    rows = [("id", "name", "owner", "scopes", "created", "state"), *map(_row, await store.records())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
    return 0


def _row(record: KeyRecord) -> tuple[str, ...]:
    created = datetime.fromtimestamp(record.created_at / 1000, UTC).isoformat(timespec="seconds")
    state = "alive" if record.revoked_at is None else "revoked"
    return (record.id, record.name, record.owner, ",".join(sorted(record.scopes)), created, state)


async def _create(store: KeyStore, options: argparse.Namespace) -> int:
    token = await store.create(options.name, frozenset(options.scope or [Scope.CLIENT]), options.owner)
    sys.stderr.write("This key is shown once:\n")
    sys.stdout.write(f"{token}\n")
    return 0


async def _revoke(store: KeyStore, options: argparse.Namespace) -> int:
    if await store.revoke(options.id):
        sys.stderr.write(f"{options.id} is revoked.\n")
        return 0
    sys.stderr.write(f"No living key has the id {options.id}; see `keys list`.\n")
    return 1


_COMMANDS: dict[str, Command] = {"list": _list, "create": _create, "revoke": _revoke}


def _parser() -> argparse.ArgumentParser:
    config = argparse.ArgumentParser(add_help=False)
    config.add_argument("--config", type=Path, required=True, help="the gateway's settings, a JSON file")
    parser = argparse.ArgumentParser(prog="python -m provisioning.gateway", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", parents=[config], help="serve until SIGTERM")
    actions = commands.add_parser("keys", help="manage API keys").add_subparsers(dest="action", required=True)
    actions.add_parser("list", parents=[config], help="show every key that was issued")
    create = actions.add_parser("create", parents=[config], help="issue a key and print it, once")
    create.add_argument("--name", required=True, help="what the key is for")
    create.add_argument("--scope", type=Scope, action="append", choices=list(Scope), help="client (default) or admin")
    create.add_argument("--owner", help="whose jobs and files it sees; its own alone when left out")
    revoke = actions.add_parser("revoke", parents=[config], help="end a key at once")
    revoke.add_argument("id", help="the key's id, as `keys list` shows it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
