"""Transactions on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy import URL, Connection, insert, select

from provisioning.gateway.__main__ import main
from provisioning.gateway.core.database import sql_helpers
from provisioning.gateway.core.database.database import Database, DatabaseError
from provisioning.gateway.core.database.tables import MetaRow
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.core.settings import GatewaySettings
from tests.unit.gateway import postgres
from tests.unit.gateway.conftest import PEPPER


def put(name: str, value: str) -> Callable[[Connection], None]:
    return lambda connection: sql_helpers.set_meta(connection, name, value)


def word(name: str) -> Callable[[Connection], str | None]:
    return lambda connection: sql_helpers.get_meta(connection, name)


def named(names: list[str]) -> Callable[[Connection], list[str]]:
    return lambda connection: list(connection.execute(select(MetaRow.name).where(MetaRow.name.in_(names))).scalars())


def scalar(sql: str) -> Callable[[Connection], object]:
    return lambda connection: connection.exec_driver_sql(sql).scalar()


async def test_committed_rows_are_there_after_reopening(database: Database) -> None:
    await database.run(put("a", "1"))
    await database.run(put("a", "2"))
    database.close()
    again = Database(database.url)
    assert await again.read(word("a")) == "2"
    again.close()


async def test_a_failed_transaction_is_rolled_back(database: Database) -> None:
    def twice(connection: Connection) -> None:
        sql_helpers.set_meta(connection, "a", "1")
        connection.execute(insert(MetaRow).values(name="a", value="2"))

    with pytest.raises(Problem) as refused:
        await database.run(twice)
    assert refused.value.code is Code.STORE_UNAVAILABLE
    assert await database.read(word("a")) is None


async def test_an_error_of_the_caller_is_raised_and_rolls_back(database: Database) -> None:
    def refuse(connection: Connection) -> None:
        sql_helpers.set_meta(connection, "a", "1")
        raise Problem(Code.QUEUE_FULL)

    with pytest.raises(Problem) as refused:
        await database.run(refuse)
    assert refused.value.code is Code.QUEUE_FULL
    assert await database.read(word("a")) is None


async def test_writers_of_two_processes_are_serialised(database: Database) -> None:
    other = Database(database.url)

    def increase(connection: Connection) -> None:
        sql_helpers.set_meta(connection, "n", str(int(sql_helpers.get_meta(connection, "n") or 0) + 1))

    await asyncio.gather(*(where.run(increase) for where in (database, other) for _ in range(25)))
    assert await other.read(word("n")) == "50"
    other.close()


async def test_one_statement_takes_many_thousand_values(database: Database) -> None:
    names = [f"n{index}" for index in range(2 * sql_helpers.MAX_BOUND + 1)]
    parts = list(sql_helpers.in_chunks(names))
    assert [len(part) for part in parts] == [sql_helpers.MAX_BOUND, sql_helpers.MAX_BOUND, 1]
    for part in parts:
        assert await database.read(named(part)) == []


async def test_a_row_with_a_taken_key_is_not_inserted(database: Database) -> None:
    for value, added in (("1", True), ("2", False)):
        assert (
            await database.run(partial(sql_helpers.add_new, table=MetaRow, values={"name": "a", "value": value}))
            is added
        )
    assert await database.read(word("a")) == "1"


@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
async def test_a_connection_that_the_server_has_closed_is_replaced(
    database: Database, postgresql: postgres.Server
) -> None:
    await database.run(put("a", "1"))
    name = database.url.database
    ended = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"  # noqa: S608 - ours
    postgresql.execute(ended)
    assert await database.read(word("a")) == "1"
    await database.run(put("a", "2"))
    assert await database.read(word("a")) == "2"


def test_the_default_journal_is_durable(tmp_path: Path) -> None:
    database = Database(tmp_path / "gateway.db")
    for pragma, value in (("journal_mode", "truncate"), ("synchronous", 2)):
        assert database.run_now(scalar(f"PRAGMA {pragma}")) == value
    database.close()


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("/data/gateway.db", "sqlite:////data/gateway.db"),
        ("sqlite:////data/gateway.db", "sqlite:////data/gateway.db"),
        ("postgresql://u:secret@db/name", "postgresql+psycopg://u:***@db/name"),
        ("postgres://db/name?sslmode=require", "postgresql+psycopg://db/name?sslmode=require"),
    ],
)
def test_valid_database_urls(given: str, url: str) -> None:
    raw = {"upstream": "http://127.0.0.1:8188", "database": given, "pepper": PEPPER}
    settings = GatewaySettings.model_validate_json(json.dumps(raw))
    assert str(settings.database) == url
    assert "secret" not in repr(settings)


@pytest.mark.parametrize(
    "given", ["mysql://u:secret@db/name", "postgresql://u:secret@db", "postgresql://u:secret@db:x/n"]
)
def test_invalid_database_urls(given: str) -> None:
    with pytest.raises(ValidationError, match="postgresql://user:password@host") as refused:
        GatewaySettings.model_validate({"upstream": "http://127.0.0.1:8188", "database": given, "pepper": PEPPER})
    assert "secret" not in str(refused.value)


def test_an_unreachable_database_prevents_the_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "gateway.json"
    absent = URL.create("postgresql", "u", "secret-word", database="name", query={"host": str(tmp_path)})
    for place in (str(tmp_path / "absent" / "gateway.db"), absent.render_as_string(hide_password=False)):
        config.write_text(json.dumps({"upstream": "http://127.0.0.1:8188", "database": place, "pepper": PEPPER}))
        assert main(["keys", "list", "--config", str(config)]) == 2
        said = capsys.readouterr().err
        assert str(tmp_path) in said
        assert "secret-word" not in said


def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gateway.db").write_bytes(b"something else entirely" * 100)
    with pytest.raises(DatabaseError, match="not a database"):
        Database(tmp_path / "gateway.db")


async def test_a_full_disk_is_reported_as_such(empty_file: Path, tmp_path: Path) -> None:
    database = Database(shutil.copy(empty_file, tmp_path / "gateway.db"))
    pages = database.run_now(lambda connection: connection.exec_driver_sql("PRAGMA page_count").scalar())
    database.run_now(lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}").close())
    with pytest.raises(Problem) as refused:
        await database.run(put("a", "x" * 100_000))
    assert refused.value.code is Code.STORAGE_FULL
    database.close()


@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
async def test_only_the_newest_gateway_on_a_postgresql_writes(database: Database) -> None:
    database.begin_epoch()
    await database.run(put("a", "1"))
    other = Database(database.url)
    other.begin_epoch()
    await other.run(put("a", "2"))
    with pytest.raises(Problem) as refused:
        await database.run(put("a", "3"))
    assert refused.value.code is Code.TAKEN_OVER
    assert database.is_superseded
    with pytest.raises(Problem):
        database.check()
    assert await other.read(word("a")) == "2"
    assert not other.is_superseded
    other.close()
