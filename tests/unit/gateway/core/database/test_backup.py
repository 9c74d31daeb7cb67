"""Backups made during writes are consistent and can be restored."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import threading
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import URL, Connection

from provisioning.gateway.__main__ import main
from provisioning.gateway.core.database import sql_helpers
from provisioning.gateway.core.database.database import Database
from tests.emulator.public_ports import kept_port
from tests.unit.gateway.conftest import PEPPER


@pytest.fixture
def config(tmp_path: Path, address: URL) -> Path:
    place = address.render_as_string(hide_password=False)
    path = tmp_path / "gateway.json"
    raw = {"upstream": "http://127.0.0.1:8188", "database": place, "pepper": PEPPER, "port": kept_port()}
    path.write_text(json.dumps(raw))
    return path


def put(database: Database, value: str) -> None:
    database.run_now(partial(sql_helpers.set_meta, name="word", value=value))


def word(database: Database) -> str | None:
    return database.run_now(partial(sql_helpers.get_meta, name="word"))


@pytest.fixture
def postgresql_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    monkeypatch.setenv("PATH", ":".join(["/usr/bin", "/bin", *map(str, folders)]))


@pytest.mark.usefixtures("postgresql_programs")
def test_backup_and_restore(
    config: Path, database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(database, "then")
    saved = tmp_path / "saved"
    assert main(["backup", "--config", str(config), str(saved)]) == 0, capsys.readouterr().err
    put(database, "now")
    database.close()
    assert main(["restore", "--config", str(config), str(saved)]) == 0, capsys.readouterr().err
    again = Database(database.url)
    assert word(again) == "then"
    again.close()
    if database.url.get_backend_name() == "sqlite":
        former = Database(tmp_path / "gateway.db.before-restore")
        assert word(former) == "now"
        former.close()


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
def test_a_backup_while_others_write_is_whole(config: Path, database: Database, tmp_path: Path) -> None:
    stop = threading.Event()

    def both(connection: Connection) -> None:
        value = str(int(sql_helpers.get_meta(connection, "a") or 0) + 1)
        sql_helpers.set_meta(connection, "a", value)
        sql_helpers.set_meta(connection, "b", value)

    def write() -> None:
        while not stop.is_set():
            database.run_now(both)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            assert main(["backup", "--config", str(config), str(tmp_path / f"copy-{number}")]) == 0
    finally:
        stop.set()
        writer.join()
    for number in range(5):
        connection = sqlite3.connect(tmp_path / f"copy-{number}")
        values = [row[0] for row in connection.execute("SELECT value FROM meta WHERE name IN ('a', 'b')")]
        connection.close()
        assert len(set(values)) <= 1
    assert (tmp_path / "copy-0").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
def test_a_refused_restore_leaves_the_database_unchanged(
    config: Path, database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(database, "mine")
    (tmp_path / "other").write_bytes(b"no database at all" * 100)
    sqlite3.connect(tmp_path / "empty").close()
    for name, words in (("absent", "no such file"), ("other", "not a backup"), ("empty", "not a backup")):
        assert main(["restore", "--config", str(config), str(tmp_path / name)]) == 2
        assert words in capsys.readouterr().err
    assert main(["backup", "--config", str(config), str(tmp_path / "other")]) == 2
    assert "already exists" in capsys.readouterr().err
    assert word(database) == "mine"


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
def test_a_restore_is_refused_while_the_gateway_serves(
    config: Path, database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["backup", "--config", str(config), str(tmp_path / "saved")]) == 0
    with socket.create_server(("127.0.0.1", json.loads(config.read_text())["port"])):
        assert main(["restore", "--config", str(config), str(tmp_path / "saved")]) == 2
    assert "stop it first" in capsys.readouterr().err


def test_a_backup_of_an_older_gateway_is_migrated(tmp_path: Path) -> None:
    old = tmp_path / "old"
    connection = sqlite3.connect(old)
    connection.executescript(Path(__file__).with_name("user_version_3.sql").read_text())
    connection.close()
    raw = {"upstream": "http://127.0.0.1:8188", "database": str(tmp_path / "gateway.db"), "pepper": PEPPER, "port": 1}
    (tmp_path / "gateway.json").write_text(json.dumps(raw))
    assert main(["restore", "--config", str(tmp_path / "gateway.json"), str(old)]) == 0
    database = Database(tmp_path / "gateway.db")
    assert database.run_now(partial(sql_helpers.get_meta, name="client_id")) == "kept-over-restarts"
    database.close()


@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
def test_a_missing_pg_dump_is_reported_with_the_command_to_run(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["backup", "--config", str(config), str(tmp_path / "saved")]) == 2
    said = capsys.readouterr().err
    assert "pg_dump --format=custom" in said
    assert "--dbname=postgresql://" in said


def test_files_of_commands_stay_usable_on_a_volume_that_maps_owners_to_root(
    tmp_path: Path,
) -> None:
    path, before = tmp_path / "gateway.json", os.umask(0o077)
    raw = {"upstream": "http://127.0.0.1:8188", "database": str(tmp_path / "gateway.db"), "pepper": PEPPER}
    volume = {"log": str(tmp_path / "volume/log"), "files": str(tmp_path / "volume/files")}
    (tmp_path / "volume").mkdir()
    path.write_text(json.dumps(raw | volume))
    try:
        assert main(["keys", "list", "--config", str(path)]) == 0
    finally:
        os.umask(before)
    found = list((tmp_path / "volume/log").rglob("*"))
    assert {file.stat().st_mode & 0o666 for file in found} == {0o666}, found
    assert {file.stat().st_mode & 0o111 for file in found if file.is_dir()} == {0o111}
