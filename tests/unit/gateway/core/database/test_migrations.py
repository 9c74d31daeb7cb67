"""Every migration path leads to the same schema."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, select

from provisioning.gateway.accounts.user_tables import UserRow
from provisioning.gateway.core.database import migrate, sql_helpers
from provisioning.gateway.core.database.database import Database, DatabaseError
from provisioning.gateway.core.database.revision import NEWEST
from provisioning.gateway.core.database.tables import AssetRow, Base, JobRow, KeyRow, RequestRow
from tests.unit.gateway import postgres

OLD = Path(__file__).with_name("user_version_3.sql")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Return a database file of the last gateway before Alembic."""
    path = tmp_path / "gateway.db"
    connection = sqlite3.connect(path)
    connection.executescript(OLD.read_text())
    connection.close()
    return path


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_server_default": True})
    return list(compare_metadata(context, Base.metadata))


def test_migrations_create_the_declared_tables(database: Database) -> None:
    assert database.run_now(differences) == []


def test_revisions_form_a_single_chain() -> None:
    scripts = ScriptDirectory.from_config(migrate.config())
    assert scripts.get_heads() == [NEWEST]
    revisions = list(scripts.walk_revisions())
    assert [revision.down_revision for revision in revisions[:-1]] == [revision.revision for revision in revisions[1:]]
    assert revisions[-1].down_revision is None


def keys_are_kept(connection: Connection) -> None:
    keys = connection.execute(select(*KeyRow.__table__.columns).order_by(KeyRow.id)).all()
    assert [tuple(key)[:9] for key in keys] == [
        ("AAAAAAAA", "client", "client", '["client"]', b"\x00\xff\x11", True, 1000, None, None),
        ("BBBBBBBB", "old bot", "bots", '["admin", "client"]', b"\x22", False, 1001, 9999, 1005),
    ]
    assert (keys[0].hint, keys[0].limits, keys[0].labels) == ("cgw_live_AAAAAAAA...", "{}", None)
    users = connection.execute(select(UserRow.name, UserRow.role).order_by(UserRow.name)).all()
    assert users == [("bots", "admin"), ("client", "member")]


def jobs_are_kept(connection: Connection) -> None:
    jobs = connection.execute(select(JobRow).order_by(JobRow.sequence)).all()
    assert [(job.sequence, job.id) for job in jobs] == [(1, "job-2"), (2, "job-1"), (3, "job-3")]
    first, second, third = jobs
    assert (first.workflow, first.history, first.usd_micros, first.hidden) == (b"{}", b'{"a":1}', 390, False)
    assert (second.cancel_requested, second.idempotency_key, second.request_hash) == (True, "same", b"\x33")
    assert (second.priority, second.attempts, third.error, third.hidden) == (-2, 1, "execution_error", True)


def assets_are_kept(connection: Connection) -> None:
    assets = connection.execute(select(AssetRow).order_by(AssetRow.sequence)).all()
    assert [asset.id for asset in assets] == ["asset-2", "asset-1", "asset-3"]
    assert list(assets[2]._mapping.values())[1:] == [
        "asset-3", "bots", None, "", "input", "", "c.png", "cat.png", "image/png", 5, "blake3:00", 1500,
    ]  # fmt: skip


def the_rest_is_kept(connection: Connection) -> None:
    assert [row.id for row in connection.execute(select(RequestRow))] == ["request-1"]
    assert sql_helpers.get_meta(connection, "client_id") == "kept-over-restarts"


@pytest.mark.parametrize("look", [keys_are_kept, jobs_are_kept, assets_are_kept, the_rest_is_kept])
def test_a_database_from_before_alembic_keeps_every_row(old: Path, look: Callable[[Connection], None]) -> None:
    database = Database(old)
    assert database.run_now(differences) == []
    database.run_now(look)
    database.close()


def test_a_copy_is_kept_before_a_migration_and_none_before_a_plain_start(old: Path) -> None:
    before = [tuple(row) for row in sqlite3.connect(old).execute("SELECT * FROM jobs")]
    for _ in range(2):
        Database(old).close()
        copies = list(old.parent.glob("*before-migration*"))
        assert [copy.name for copy in copies] == ["gateway.db.before-migration-from-r0001"]
    assert copies[0].stat().st_mode & 0o777 == 0o600
    copy = sqlite3.connect(copies[0])
    assert [tuple(row) for row in copy.execute("SELECT * FROM jobs")] == before
    assert copy.execute("PRAGMA user_version").fetchone() == (3,)
    copy.close()


def test_a_new_file_needs_no_copy(tmp_path: Path) -> None:
    Database(tmp_path / "gateway.db").close()
    assert list(tmp_path.glob("*before-migration*")) == []


def test_a_migration_that_fails_changes_nothing(old: Path) -> None:
    connection = sqlite3.connect(old)
    # By then the migration has recreated the tables before it.
    connection.execute("ALTER TABLE requests RENAME TO requests_kept")
    connection.commit()
    connection.close()
    with pytest.raises(DatabaseError, match="requests"):
        Database(old)
    tables = {row[0] for row in sqlite3.connect(old).execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == {"keys", "jobs", "assets", "requests_kept", "meta"}


def test_a_database_of_a_newer_gateway_is_refused(address: URL) -> None:
    database = Database(address)
    database.run_now(
        lambda connection: connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'r9999'").close()
    )
    database.close()
    with pytest.raises(DatabaseError, match=r"newer gateway \(revision r9999\)"):
        Database(address)


@pytest.mark.parametrize("version", [2, 4])
def test_a_file_of_an_unknown_form_is_refused(old: Path, version: int) -> None:
    connection = sqlite3.connect(old)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    with pytest.raises(DatabaseError, match=f"user_version {version}"):
        Database(old)


def test_gateways_that_start_together_migrate_once(postgresql: postgres.Server) -> None:
    address = postgresql.empty()
    with ThreadPoolExecutor(4) as threads:
        databases = list(threads.map(Database, [address] * 4))
    for database in databases:
        assert database.run_now(differences) == []
        database.close()


def test_processes_that_start_together_migrate_a_file_once(old: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        for database in threads.map(Database, [old] * 4):
            assert database.run_now(lambda connection: len(connection.execute(select(JobRow.id)).all())) == 3
            database.close()
