"""The database: runs whole transactions on its own threads, so that the event loop never waits for it.

SQLite has one connection and one thread; PostgreSQL has one thread for each connection of its pool.
"""

from __future__ import annotations

import base64
import contextlib
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from provisioning.contract.gateway_options import Journal
from provisioning.gateway.core import database_url
from provisioning.gateway.core.database import encryption, engines, revision, sql_helpers
from provisioning.gateway.core.database.encryption import ColumnCipher
from provisioning.gateway.core.database.fencing import Fence
from provisioning.gateway.core.database.log import opening
from provisioning.gateway.core.database.log.log import Log
from provisioning.gateway.core.database.tables import MetaRow
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.core.settings import GatewaySettings
from provisioning.gateway.core.threads import run_in_thread

Result = TypeVar("Result")
Work = Callable[[Connection], Result]

SEAL = "seal"
"""Key of an encrypted empty value, which checks the encryption key."""

PLAINTEXT = ColumnCipher(("",), active=False)


class DatabaseError(Exception):
    """The database cannot be opened; the message gives the reason and the remedy, and never holds a password."""


class Database:
    """Runs transactions."""

    def __init__(
        self,
        where: URL | Path | str,
        journal: Journal = Journal.TRUNCATE,
        cipher: ColumnCipher = PLAINTEXT,
        log: Log | None = None,
    ) -> None:
        """Open or create the database and migrate it to the newest revision; raises DatabaseError.

        `where` is the path of an SQLite file or a PostgreSQL URL; `journal` and `log` apply to SQLite only.
        """
        self.url = database_url.parse(where)
        self.log = log
        self._fence: Fence | None = None
        file = database_url.file_of(self.url)
        self._engine = _engine(self.url, journal, cipher, shipped=log is not None)
        self._writing = engines.writing(self._engine)
        self._threads = ThreadPoolExecutor(1 if file is not None else engines.POOL_SIZE, "database")
        try:
            self._wait_for(partial(_transaction, self._writing, partial(_prepare, cipher=cipher)))
            if log is not None and file is not None:
                log.attach(file, self._at_database)
        except (SQLAlchemyError, revision.MigrationError, OSError) as error:
            self.close()
            raise DatabaseError(f"{self.url.render_as_string()}: {_reason(error)}") from error

    async def run(self, work: Work[Result]) -> Result:
        """Run `work` in one write transaction, the only one at a time, and return after the commit.

        Raises Problem(STORE_UNAVAILABLE) when nothing was written. With a log, raises NotOnVolume when the change was
        committed but did not reach the volume in time, or another gateway has taken over.
        """
        if self._fence is not None:
            work = self._fence.around(work)
        if (log := self.log) is None:
            return await self._run_in_thread(partial(_transaction, self._writing, work))
        log.check()
        result, position = await self._run_in_thread(partial(log.commit, partial(_transaction, self._writing, work)))
        await log.wait(position)
        return result

    def check(self) -> None:
        """Raise Problem while changes could not be acknowledged."""
        for guard in (self.log, self._fence):
            if guard is not None:
                guard.check()

    def begin_epoch(self) -> None:
        """Become the one gateway that writes to a PostgreSQL, until another one begins; raises SQLAlchemyError."""
        fence = Fence()
        self.run_now(fence.begin)
        self._fence = fence

    @property
    def is_superseded(self) -> bool:
        """Whether another gateway has taken over."""
        return any(guard is not None and guard.is_superseded for guard in (self.log, self._fence))

    async def read(self, work: Work[Result]) -> Result:
        """Run `work` in a read transaction. Raises Problem(STORE_UNAVAILABLE)."""
        return await self._run_in_thread(partial(_transaction, self._engine, work))

    def run_now(self, work: Work[Result]) -> Result:
        """Do the same as `run` without an event loop; raises SQLAlchemyError, Problem."""
        if (log := self.log) is None:
            return self._wait_for(partial(_transaction, self._writing, work))
        result, position = self._wait_for(partial(log.commit, partial(_transaction, self._writing, work)))
        log.wait_now(position)
        return result

    def close(self) -> None:
        """Finish running transactions and close every connection; idempotent."""
        with contextlib.suppress(RuntimeError):
            if self.log is not None:
                self.log.finish()
            # On the database's thread, which SQLite's connection is bound to.
            self._wait_for(self._engine.dispose)
        self._threads.shutdown()
        if self.log is not None:
            self.log.close()
            self.log = None

    async def _run_in_thread(self, task: Callable[[], Result]) -> Result:
        try:
            return await run_in_thread(self._threads, task)
        except SQLAlchemyError as error:
            # SQLite's message for a full disk.
            full = "database or disk is full" in str(getattr(error, "orig", ""))
            raise Problem(Code.STORAGE_FULL if full else Code.STORE_UNAVAILABLE) from error

    def _wait_for(self, task: Callable[[], Result]) -> Result:
        return self._threads.submit(task).result()

    def _at_database(self, work: Callable[[sqlite3.Connection], Result]) -> Future[Result]:
        """Run `work` between two transactions, with SQLite's own connection."""
        return self._threads.submit(partial(_connected, self._engine, work))


def open_database(settings: GatewaySettings, *, serves: bool = False) -> Database:
    """Open the database that the settings name; raises DatabaseError.

    `serves`: open it for a gateway, not for a command that may run beside one.
    """
    cipher = ColumnCipher(settings.encryption_keys, active=settings.encrypt_at_rest)
    try:
        log = opening.open_log(settings, serves=serves)
    except (opening.LogError, OSError) as error:
        raise DatabaseError(f"{settings.log}: {error}") from error
    database = Database(settings.database, settings.journal, cipher, log)
    if serves and database_url.file_of(database.url) is None:
        database.begin_epoch()
    return database


def _prepare(connection: Connection, cipher: ColumnCipher) -> None:
    if not revision.is_newest(connection):
        from provisioning.gateway.core.database import migrate  # noqa: PLC0415 - Alembic: a fifth of a second, seldom needed

        migrate.to_newest(connection)
    _check_seal(connection, cipher)


def _check_seal(connection: Connection, cipher: ColumnCipher) -> None:
    """Raise SealError at the start, not at the first job, when the settings lack the encryption key."""
    table = MetaRow.__tablename__
    known = sql_helpers.get_meta(connection, SEAL)
    if known is not None:
        cipher.open(base64.b64decode(known), table)
    elif cipher.active:
        sql_helpers.set_meta(connection, SEAL, base64.b64encode(cipher.seal(b"", table)).decode())


def _engine(url: URL, journal: Journal, cipher: ColumnCipher, *, shipped: bool) -> Engine:
    if database_url.file_of(url) is not None:
        engine = engines.sqlite_engine(url, journal, wipe=cipher.active, shipped=shipped)
    else:
        engine = engines.postgresql_engine(url)
    encryption.use(engine.dialect, cipher)
    return engine


def _transaction(engine: Engine, work: Work[Result]) -> Result:
    with engine.begin() as connection:
        return work(connection)


def _connected(engine: Engine, work: Callable[[sqlite3.Connection], Result]) -> Result:
    lent = engine.raw_connection()
    try:
        return work(cast("sqlite3.Connection", lent.driver_connection))
    finally:
        lent.close()


def _reason(error: Exception) -> str:
    # The driver's message: SQLAlchemy's includes the statement and its values.
    return str(getattr(error, "orig", None) or error).strip()
