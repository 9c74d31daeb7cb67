"""Backup of the database while the gateway serves, and restoring a backup while it is stopped."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL

from provisioning.gateway.core import database_url
from provisioning.gateway.core.database import sqlite_backup
from provisioning.gateway.core.database.database import Database, DatabaseError
from provisioning.gateway.core.database.encryption import ColumnCipher
from provisioning.gateway.core.database.log import opening, rebuild
from provisioning.gateway.core.database.log.local_state import LocalLock, Status
from provisioning.gateway.core.database.log.volume_files import VolumeFiles
from provisioning.gateway.core.settings import GatewaySettings

LIMIT_SECONDS = 3600
"""Time-out of pg_dump and pg_restore."""

_log = logging.getLogger(__name__)

_LEFTOVERS = ("-journal", "-wal", "-shm")
"""Suffixes of the files that SQLite keeps beside a database; those of one database would corrupt another."""


class BackupError(Exception):
    """The backup or the restore failed; the message gives the reason and the remedy."""


def backup(settings: GatewaySettings, target: Path) -> None:
    """Write the last committed state of the database to a new file; raises BackupError, OSError.

    SQLite is copied by its online backup, PostgreSQL by pg_dump; the gateway may serve meanwhile.
    """
    if target.exists():
        raise BackupError(f"{target} already exists; name another file")
    source = database_url.file_of(settings.database)
    if source is None:
        _run("pg_dump", settings.database, "--format=custom", "--no-owner", f"--file={target}")
    else:
        _backup_file(settings, source, target)
        _check(target)


def _backup_file(settings: GatewaySettings, source: Path, target: Path) -> None:
    lock = LocalLock(source)
    if settings.log is None or not lock.take():
        if not source.exists():
            raise BackupError(f"{source}: there is no database yet")
        if settings.log is not None:
            _check_newest(settings, source)
        sqlite_backup.copy_file(source, target)
        return
    # No gateway runs here: the log on the volume has the current state.
    rebuilt = source.with_name(f"{source.name}.rebuilt")
    try:
        if not opening.write_newest(settings, rebuilt):
            raise BackupError(f"{settings.log}: there is no database yet")
        sqlite_backup.copy_file(rebuilt, target)
    except opening.LogError as error:
        raise BackupError(str(error)) from error
    finally:
        rebuild.remove(rebuilt)
        lock.release()


def _check_newest(settings: GatewaySettings, source: Path) -> None:
    """Raise BackupError when another pod's gateway has taken over: this database is out of date."""
    shipped, newest = Status(source).read(), opening.epochs_of(settings).newest()
    if shipped is None:
        raise BackupError(f"{source}: the gateway is starting; try again in a moment")
    if newest is not None and newest.number != shipped.epoch:
        raise BackupError("the gateway of another pod has taken over; make the backup there")


def restore(settings: GatewaySettings, source: Path) -> Path | None:
    """Replace the database by a backup; returns the file that holds the replaced database, None when there is none.

    With a log, the restore begins a new epoch, so that no later start brings the replaced database back.
    The gateway has to be stopped; its next start migrates an older backup.

    Raises BackupError, after which nothing has changed, and OSError.
    """
    if not source.is_file():
        raise BackupError(f"{source}: there is no such file")
    if _is_served(settings):
        raise BackupError(f"the gateway is running on port {settings.port}: stop it first (supervisorctl stop gateway)")
    target = database_url.file_of(settings.database)
    if target is None:
        _run("pg_restore", settings.database, "--clean", "--if-exists", "--no-owner", "--single-transaction", source)
        return None
    _check(source)
    return _replace(source, target) if settings.log is None else _replace_logged(settings, source, target)


def _replace_logged(settings: GatewaySettings, source: Path, target: Path) -> Path | None:
    epochs = opening.epochs_of(settings)
    root, newest = epochs.root, epochs.newest()
    kept = root / f"before-restore-{newest.number if newest else 0:08}.db"
    rebuilt = target.with_name(f"{target.name}.rebuilt")
    cipher = ColumnCipher(settings.encryption_keys, active=settings.encrypt_at_rest)
    try:
        # The container disk is lost with the pod; the replaced database is kept on the volume.
        found = _write_former(settings, rebuilt)
        if found:
            VolumeFiles().put(kept, rebuilt.read_bytes())
        Database(settings.database, cipher=cipher, log=opening.open_with(settings, target, source)).close()
    except (opening.LogError, DatabaseError) as error:
        raise BackupError(f"{error}; nothing was changed") from error
    finally:
        rebuild.remove(rebuilt)
    for former in root.glob("before-restore-*.db"):
        if former != kept:
            former.unlink()
    return kept if found else None


def _write_former(settings: GatewaySettings, target: Path) -> bool:
    """Write the database that is being replaced, as far as it is readable; returns whether there was one."""
    try:
        return opening.write_newest(settings, target)
    except opening.DamagedError as error:
        _log.warning("the replaced database is damaged and kept only up to the damage: %s", error)
    try:
        return opening.write_newest(settings, target, to_damage=True)
    except opening.DamagedError:
        return False


def _replace(source: Path, target: Path) -> Path | None:
    incoming, former = target.with_name(f"{target.name}.incoming"), target.with_name(f"{target.name}.before-restore")
    sqlite_backup.copy_file(source, incoming)
    kept = None
    if target.exists():
        # The command may run as root; the gateway does not.
        owner = target.stat()
        os.chown(incoming, owner.st_uid, owner.st_gid)
        # SQLite's own backup includes what a kill left in the journal.
        sqlite_backup.copy_file(target, former)
        os.chown(former, owner.st_uid, owner.st_gid)
        kept = former
    for ending in _LEFTOVERS:
        target.with_name(f"{target.name}{ending}").unlink(missing_ok=True)
    incoming.replace(target)
    sqlite_backup.sync(target.parent)
    return kept


def _check(path: Path) -> None:
    """Raise BackupError for a file that is damaged or not a gateway's database."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as error:
        raise BackupError(f"{path}: not a backup of a gateway ({error})") from error
    if found != "ok" or "jobs" not in tables:
        raise BackupError(f"{path}: not a backup of a gateway, or damaged ({found})")


def _is_served(settings: GatewaySettings) -> bool:
    try:
        socket.create_connection(("127.0.0.1", settings.port), timeout=2).close()
    except OSError:
        return False
    return True


def _run(program: str, url: URL, *arguments: str | Path) -> None:
    found = shutil.which(program)
    if found is None:
        raise BackupError(
            f"{program} is not installed: install PostgreSQL's client programs (postgresql-client), or run "
            f"`{program} {' '.join(map(str, arguments))} --dbname={_plain(url)}` on a machine that has them"
        )
    # In the environment, since every user of the machine can read command lines.
    secret = {"PGPASSWORD": str(url.password)} if url.password else {}
    command = [found, *map(str, arguments), f"--dbname={_plain(url)}"]
    done = subprocess.run(
        command, env=os.environ | secret, check=False, capture_output=True, text=True, timeout=LIMIT_SECONDS
    )
    if done.returncode:
        raise BackupError(f"{program} failed: {done.stderr.strip()[-500:]}")


def _plain(url: URL) -> str:
    """Return the URL in the form of PostgreSQL's programs, without the password."""
    return url.set(drivername="postgresql", password=None).render_as_string()
