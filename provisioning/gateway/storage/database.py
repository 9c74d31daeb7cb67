"""The database as the rest of the gateway sees it: whole transactions, done on threads of its own.

The event loop never waits for the disk or for PostgreSQL, since a thread does: one for SQLite, which has one
connection, and as many as there are connections for PostgreSQL.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from provisioning.gateway.options import Journal
from provisioning.gateway.problems import Code, Problem
from provisioning.gateway.settings import GatewaySettings
from provisioning.gateway.storage import address, engines, revision, sealing, statements
from provisioning.gateway.storage.engines import Lasting
from provisioning.gateway.storage.sealing import Sealer
from provisioning.gateway.storage.tables import MetaRow
from provisioning.gateway.storage.threads import Threads

Result = TypeVar("Result")
Work = Callable[[Connection], Result]

SEAL = "seal"
"""Under this name stands nothing, sealed."""

UNSEALED = Sealer(("",), active=False)


class DatabaseError(Exception):
    """The database cannot be opened; the text says why and what to do, and never holds a password."""


class Database:
    """Runs transactions."""

    def __init__(self, where: URL | Path | str, journal: Journal = Journal.TRUNCATE, sealer: Sealer = UNSEALED) -> None:
        """Open or create the database and bring it to the newest form; raises DatabaseError.

        `where` is a file's path or the URL of a PostgreSQL; `journal` is for a file alone.
        """
        self.url = address.parse(where)
        is_file = address.file_of(self.url) is not None
        self._engine = _engine(self.url, journal, sealer)
        self._reading = engines.reading(self._engine)
        self._writing = engines.writing(self._engine)
        self._threads = Threads(1 if is_file else engines.POOL_SIZE, "database")
        try:
            self.run_now(partial(_prepare, sealer=sealer))
        except (SQLAlchemyError, revision.MigrationError, OSError) as error:
            self.close()
            raise DatabaseError(f"{self.url.render_as_string()}: {_reason(error)}") from error

    async def run(self, work: Work[Result]) -> Result:
        """Do `work` in one transaction that may write, alone among writers; it is committed when this returns.

        Raises Problem(STORE_UNAVAILABLE), and nothing was written.
        """
        return await self._elsewhere(self._writing, work)

    async def read(self, work: Work[Result]) -> Result:
        """Do `work`, which only looks. Raises Problem(STORE_UNAVAILABLE)."""
        return await self._elsewhere(self._reading, work)

    def run_now(self, work: Work[Result]) -> Result:
        """Do what `run` does without an event loop; raises SQLAlchemyError."""
        return self._threads.do_now(partial(_transaction, self._writing, work))

    def close(self) -> None:
        """Finish what was begun and close every connection; a second time does nothing."""
        with contextlib.suppress(RuntimeError):
            # On their own thread, where SQLite's connection lives.
            self._threads.do_now(self._reading.dispose)
        self._threads.end()

    async def _elsewhere(self, engine: Engine | Lasting, work: Work[Result]) -> Result:
        try:
            return await self._threads.do(partial(_transaction, engine, work))
        except SQLAlchemyError as error:
            raise Problem(Code.STORE_UNAVAILABLE) from error


def open_database(settings: GatewaySettings) -> Database:
    """Open the database that the settings name; raises DatabaseError."""
    sealer = Sealer(settings.encryption_keys, active=settings.encrypt_at_rest)
    return Database(settings.database, settings.journal, sealer)


def _prepare(connection: Connection, sealer: Sealer) -> None:
    if not revision.is_newest(connection):
        from provisioning.gateway.storage import migrate  # noqa: PLC0415 - Alembic: a fifth of a second, seldom needed

        migrate.to_newest(connection)
    _check_seal(connection, sealer)


def _check_seal(connection: Connection, sealer: Sealer) -> None:
    """Refuse a database that was sealed under a key that is not here, at the start and not at the first job."""
    table = MetaRow.__tablename__
    known = statements.word(connection, SEAL)
    if known is not None:
        sealer.open(base64.b64decode(known), table)
    elif sealer.active:
        statements.put(connection, SEAL, base64.b64encode(sealer.seal(b"", table)).decode())


def _engine(url: URL, journal: Journal, sealer: Sealer) -> Engine:
    if address.file_of(url) is not None:
        engine = engines.sqlite_engine(url, journal, wipe=sealer.active)
    else:
        engine = engines.postgresql_engine(url)
    sealing.use(engine.dialect, sealer)
    return engine


def _transaction(engine: Engine | Lasting, work: Work[Result]) -> Result:
    with engine.begin() as connection:
        return work(connection)


def _reason(error: Exception) -> str:
    # The driver's own words: SQLAlchemy's have the statement and its values in them.
    return str(getattr(error, "orig", None) or error).strip()
