"""The database as the rest of the gateway sees it: whole transactions, done on threads of its own.

The event loop never waits for the disk or for PostgreSQL, since a thread does: one for SQLite, which has one
connection, and as many as there are connections for PostgreSQL.
"""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from provisioning.gateway.options import Journal
from provisioning.gateway.problems import Code, Problem
from provisioning.gateway.settings import GatewaySettings
from provisioning.gateway.storage import address, engines, revision, sealing, statements
from provisioning.gateway.storage.engines import Lasting
from provisioning.gateway.storage.fencing import Fence
from provisioning.gateway.storage.log import opening
from provisioning.gateway.storage.log.log import Log
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

    def __init__(
        self,
        where: URL | Path | str,
        journal: Journal = Journal.TRUNCATE,
        sealer: Sealer = UNSEALED,
        log: Log | None = None,
    ) -> None:
        """Open or create the database and bring it to the newest form; raises DatabaseError.

        `where` is a file's path or the URL of a PostgreSQL; `journal` and `log` are for a file alone.
        """
        self.url = address.parse(where)
        self.log = log
        self._fence: Fence | None = None
        file = address.file_of(self.url)
        self._engine = _engine(self.url, journal, sealer, shipped=log is not None)
        self._reading = engines.reading(self._engine)
        self._writing = engines.writing(self._engine)
        self._threads = Threads(1 if file is not None else engines.POOL_SIZE, "database")
        try:
            self._threads.do_now(partial(_transaction, self._writing, partial(_prepare, sealer=sealer)))
            if log is not None and file is not None:
                log.attach(file, self._at_database)
        except (SQLAlchemyError, revision.MigrationError, OSError) as error:
            self.close()
            raise DatabaseError(f"{self.url.render_as_string()}: {_reason(error)}") from error

    async def run(self, work: Work[Result]) -> Result:
        """Do `work` in one transaction that may write, alone among writers; it is committed when this returns.

        Raises Problem(STORE_UNAVAILABLE), and nothing was written. With a log it raises Problem also when what was
        written is not on the volume within a bound, or another gateway has taken over: NotOnVolume.
        """
        if self._fence is not None:
            work = self._fence.around(work)
        if (log := self.log) is None:
            return await self._elsewhere(partial(_transaction, self._writing, work))
        log.check()
        result, position = await self._elsewhere(partial(log.commit, partial(_transaction, self._writing, work)))
        await log.wait(position)
        return result

    def check(self) -> None:
        """Refuse to change anything while that could not be acknowledged; raises Problem."""
        for guard in (self.log, self._fence):
            if guard is not None:
                guard.check()

    def begin_epoch(self) -> None:
        """Be the one gateway that writes to a PostgreSQL, until another one begins; raises SQLAlchemyError."""
        fence = Fence()
        self.run_now(fence.begin)
        self._fence = fence

    @property
    def is_superseded(self) -> bool:
        """Whether another gateway has taken over."""
        return any(guard is not None and guard.is_superseded for guard in (self.log, self._fence))

    async def read(self, work: Work[Result]) -> Result:
        """Do `work`, which only looks. Raises Problem(STORE_UNAVAILABLE)."""
        return await self._elsewhere(partial(_transaction, self._reading, work))

    def run_now(self, work: Work[Result]) -> Result:
        """Do what `run` does without an event loop; raises SQLAlchemyError, Problem."""
        if (log := self.log) is None:
            return self._threads.do_now(partial(_transaction, self._writing, work))
        result, position = self._threads.do_now(partial(log.commit, partial(_transaction, self._writing, work)))
        log.wait_now(position)
        return result

    def close(self) -> None:
        """Finish what was begun and close every connection; a second time does nothing."""
        with contextlib.suppress(RuntimeError):
            if self.log is not None:
                self.log.finish()
            # On their own thread, where SQLite's connection lives.
            self._threads.do_now(self._reading.dispose)
        self._threads.end()
        if self.log is not None:
            self.log.close()
            self.log = None

    async def _elsewhere(self, task: Callable[[], Result]) -> Result:
        try:
            return await self._threads.do(task)
        except SQLAlchemyError as error:
            # SQLite's own words for a disk without room.
            full = "database or disk is full" in str(getattr(error, "orig", ""))
            raise Problem(Code.STORAGE_FULL if full else Code.STORE_UNAVAILABLE) from error

    def _at_database(self, work: Callable[[sqlite3.Connection], Result]) -> concurrent.futures.Future[Result]:
        """Do something between two transactions, with SQLite's own connection."""
        return self._threads.begin(partial(_connected, self._engine, work))


def open_database(settings: GatewaySettings, *, serves: bool = False) -> Database:
    """Open the database that the settings name; raises DatabaseError.

    `serves`: for a gateway, not for a command that may run beside one.
    """
    sealer = Sealer(settings.encryption_keys, active=settings.encrypt_at_rest)
    try:
        log = opening.open_log(settings, serves=serves)
    except (opening.LogError, OSError) as error:
        raise DatabaseError(f"{settings.log}: {error}") from error
    database = Database(settings.database, settings.journal, sealer, log)
    if serves and address.file_of(database.url) is None:
        database.begin_epoch()
    return database


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


def _engine(url: URL, journal: Journal, sealer: Sealer, *, shipped: bool) -> Engine:
    if address.file_of(url) is not None:
        engine = engines.sqlite_engine(url, journal, wipe=sealer.active, shipped=shipped)
    else:
        engine = engines.postgresql_engine(url)
    sealing.use(engine.dialect, sealer)
    return engine


def _transaction(engine: Engine | Lasting, work: Work[Result]) -> Result:
    with engine.begin() as connection:
        return work(connection)


def _connected(engine: Engine, work: Callable[[sqlite3.Connection], Result]) -> Result:
    lent = engine.raw_connection()
    try:
        return work(cast("sqlite3.Connection", lent.driver_connection))
    finally:
        lent.close()


def _reason(error: Exception) -> str:
    # The driver's own words: SQLAlchemy's have the statement and its values in them.
    return str(getattr(error, "orig", None) or error).strip()
