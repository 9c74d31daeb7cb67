"""A real PostgreSQL for tests: made in a folder of its own, reached through a socket in it, ended with the session."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL

from provisioning.gateway.core.database.database import Database
from tools import system_packages

USER = "gateway"
TEMPLATE = "template_of_the_gateway"
START_SECONDS = 60
# Where tests are killed, the server ends with them.
_MORTAL = ["setpriv", "--pdeathsig", "INT"] if shutil.which("setpriv") else []
NO_SYNC = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")


@dataclass
class Server:
    """A server that runs."""

    folder: Path
    numbers: Iterator[int] = field(default_factory=count)

    def url(self, name: str) -> URL:
        query = {"host": str(self.folder)}
        return URL.create("postgresql+psycopg", username=USER, database=name, query=query)

    def fresh(self) -> URL:
        """Return a database that nobody used, in the newest form."""
        name = f"test_{next(self.numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        return self.url(name)

    def empty(self) -> URL:
        """Return a database without a table."""
        name = f"test_{next(self.numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def drop(self, address: URL) -> None:
        """Remove a database: each takes 8 MB, and there is one for every test."""
        self.execute(f"DROP DATABASE {address.database} WITH (FORCE)")

    def execute(self, sql: str) -> None:
        with psycopg.connect(host=str(self.folder), user=USER, dbname="postgres", autocommit=True) as connection:
            connection.execute(sql.encode())


@contextmanager
def serving() -> Iterator[Server]:
    """Make and start a server, and end it; skips where there is none."""
    programs = {name: _program(name) for name in ("postgres", "initdb")}
    folder = Path(tempfile.mkdtemp(prefix="comfyui-runpod-pg-", dir="/tmp"))
    user = _unprivileged(folder)
    try:
        initdb: list[str | Path] = [
            programs["initdb"],
            "-D",
            folder / "data",
            "-U",
            USER,
            "--auth=trust",
            "--no-sync",
            "-E",
            "UTF8",
        ]
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder, timeout=START_SECONDS, user=user)
        with _process([programs["postgres"], "-D", folder / "data", "-k", folder], folder, user):
            server = Server(folder)
            _wait(server)
            server.execute(f"CREATE DATABASE {TEMPLATE}")
            Database(server.url(TEMPLATE)).close()
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _program(name: str) -> str:
    found = system_packages.where(name)
    if found is None:
        pytest.skip(f"{name} is not installed: `make test` as root installs postgresql")
    return found


def _unprivileged(folder: Path) -> str | None:
    """Return the user to start programs as when we are root, whom PostgreSQL refuses; the folder becomes theirs."""
    if os.geteuid() != 0:
        return None
    name = next(name for name in ("postgres", "nobody") if name in {user.pw_name for user in pwd.getpwall()})
    os.chown(folder, pwd.getpwnam(name).pw_uid, pwd.getpwnam(name).pw_gid)
    return name


@contextmanager
def _process(command: list[str | Path], folder: Path, user: str | None) -> Iterator[None]:
    quiet = ["-c", "listen_addresses=", "-c", "logging_collector=off", "-c", "max_connections=60", *NO_SYNC]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*_MORTAL, *map(str, command), *quiet], stdout=log, stderr=log, cwd=folder, user=user
        )
        try:
            yield
        finally:
            # Fast shutdown: connections that a test left open are cut.
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(server: Server) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            server.execute("SELECT 1")
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return
