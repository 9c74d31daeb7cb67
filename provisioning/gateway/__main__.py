"""`python -m provisioning.gateway`: serve, and manage keys on the pod."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from provisioning.gateway import commands as cli
from provisioning.gateway import logs
from provisioning.gateway.access.keystore import KeyStore
from provisioning.gateway.clock import SystemClock
from provisioning.gateway.problems import Problem
from provisioning.gateway.serve import serve
from provisioning.gateway.settings import GatewaySettings, SettingsError, load
from provisioning.gateway.storage.database import DatabaseError, open_database


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
        return asyncio.run(cli.run(store, options))
    finally:
        database.close()


def _parser() -> argparse.ArgumentParser:
    config = argparse.ArgumentParser(add_help=False)
    config.add_argument("--config", type=Path, required=True, help="the gateway's settings, a JSON file")
    parser = argparse.ArgumentParser(prog="python -m provisioning.gateway", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", parents=[config], help="serve until SIGTERM")
    cli.add_parsers(commands, config)
    return parser


if __name__ == "__main__":
    sys.exit(main())
