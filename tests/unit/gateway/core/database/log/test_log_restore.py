"""Backup, restore and import of a former database: the state that the next start finds."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from provisioning.gateway.__main__ import main
from provisioning.gateway.core.database import sqlite_backup
from provisioning.gateway.core.database.database import DatabaseError, open_database
from provisioning.gateway.core.database.log import file_takeover, generations
from tests.emulator.public_ports import kept_port
from tests.unit.gateway.conftest import PEPPER
from tests.unit.gateway.log_databases import elsewhere, epochs, put, settings, word


@pytest.fixture
def config(root: Path) -> str:
    raw = {
        "upstream": "http://127.0.0.1:9", "database": str(root / "disk" / "gateway.db"), "log": str(root / "log"),
        "pepper": PEPPER, "pod_id": "pod", "port": kept_port(),
    }  # fmt: skip
    (root / "gateway.json").write_text(json.dumps(raw))
    return str(root / "gateway.json")


def found(root: Path, name: str) -> str | None:
    """Return what a new pod finds on the volume."""
    database = elsewhere(root, name)
    try:
        return word(database, "n")
    finally:
        database.close()


def test_a_restore_begins_an_epoch_and_later_starts_keep_it(root: Path, config: str) -> None:
    database = open_database(settings(root))
    put(database, "n", "then")
    assert main(["backup", "--config", config, str(root / "saved")]) == 0
    put(database, "n", "now")
    assert main(["restore", "--config", config, str(root / "saved")]) == 2, "a gateway has locked the database"
    database.close()
    before = epochs(root).newest()
    assert main(["restore", "--config", config, str(root / "saved")]) == 0
    after = epochs(root).newest()
    assert before is not None
    assert after is not None
    assert after.number > before.number
    for name in ("one", "two"):
        assert found(root, name) == "then"
    [kept] = (root / "log").glob("*/before-restore-*.db")
    with closing(sqlite3.connect(kept)) as connection:
        assert connection.execute("SELECT value FROM meta WHERE name = 'n'").fetchone() == ("now",)
    assert main(["restore", "--config", config, str(kept)]) == 0
    assert found(root, "three") == "now"


def test_a_backup_without_a_gateway_reads_the_volume(root: Path, config: str) -> None:
    database = open_database(settings(root))
    put(database, "n", "there")
    database.close()
    (root / "disk" / "gateway.db").unlink()
    assert main(["backup", "--config", config, str(root / "saved")]) == 0
    with closing(sqlite3.connect(root / "saved")) as connection:
        assert connection.execute("SELECT value FROM meta WHERE name = 'n'").fetchone() == ("there",)


def test_a_restore_that_is_killed_changes_nothing(root: Path, config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database = open_database(settings(root))
    put(database, "n", "then")
    assert main(["backup", "--config", config, str(root / "saved")]) == 0
    put(database, "n", "now")
    database.close()

    def killed(*_arguments: object) -> None:
        raise OSError("as if killed before the copy is whole")

    with monkeypatch.context() as patched:
        patched.setattr(generations, "write", killed)
        assert main(["restore", "--config", config, str(root / "saved")]) == 2
    assert found(root, "after") == "now"


def test_a_restore_replaces_a_damaged_log_and_keeps_its_intact_part(root: Path, config: str) -> None:
    database = open_database(settings(root))
    put(database, "n", "saved")
    assert main(["backup", "--config", config, str(root / "saved")]) == 0
    for value in ("before", "damaged", "after"):
        put(database, "n", value)
    log = max((root / "log").glob("*/epoch-*/log-*"))
    whole = log.read_bytes()
    database.close()
    at = whole.index(b"damaged")
    log.write_bytes(whole[:at] + b"D" + whole[at + 1 :])
    with pytest.raises(DatabaseError, match="make restore"):
        open_database(settings(root))
    assert main(["restore", "--config", config, str(root / "saved")]) == 0
    assert found(root, "one") == "saved"
    [kept] = (root / "log").glob("*/before-restore-*.db")
    with closing(sqlite3.connect(kept)) as connection:
        assert connection.execute("SELECT value FROM meta WHERE name = 'n'").fetchone() == ("before",)


def test_a_restore_is_refused_while_another_pod_serves(
    root: Path, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    database = open_database(settings(root, pod_id="pod-2"))
    assert main(["backup", "--config", config, str(root / "saved")]) == 0
    other = json.loads(Path(config).read_text()) | {"database": str(root / "other.db")}
    Path(config).write_text(json.dumps(other))
    assert main(["restore", "--config", config, str(root / "saved")]) == 2
    assert "pod-2" in capsys.readouterr().err
    put(database, "n", "goes on")
    database.close()


@pytest.fixture
def old(root: Path) -> Path:
    """Return a database on the volume as written by gateways without a log."""
    (root / "gateway").mkdir()
    path = root / "gateway" / "gateway.db"
    shutil.move(root / "disk" / "gateway.db", path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO meta VALUES ('n', 'kept')")
        connection.commit()
    return path


def test_a_former_database_is_imported_once(root: Path, old: Path) -> None:
    with closing(sqlite3.connect(old, isolation_level=None)) as still_open:
        database = open_database(settings(root, former_database=str(old)))
        assert word(database, "n") == "kept"
        # The writes of a former gateway that still has it open fail.
        with pytest.raises(sqlite3.Error, match="taken over by a newer gateway"):
            still_open.execute("UPDATE meta SET value = 'lost' WHERE name = 'n'")
        put(database, "n", "newer")
        database.close()
    assert not old.exists()
    assert old.with_name("gateway.db.taken-over").exists()
    again = open_database(settings(root, "second", former_database=str(old)))
    assert word(again, "n") == "newer"
    again.close()


@pytest.mark.parametrize("moment", ["copy_file", "write", "put_away"])
def test_an_import_killed_at_any_point_is_repeated(
    root: Path, old: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = {"copy_file": file_takeover, "write": generations, "put_away": file_takeover}[moment]

    def killed(*_arguments: object) -> None:
        raise OSError("as if killed here")

    with monkeypatch.context() as patched:
        patched.setattr(module, moment, killed)
        with pytest.raises(DatabaseError, match="as if killed"):
            open_database(settings(root, former_database=str(old)))
    database = open_database(settings(root, "second", former_database=str(old)))
    assert word(database, "n") == "kept"
    put(database, "n", "writes")
    database.close()
    assert not old.exists()


def test_a_copy_is_a_single_file_in_every_journal_mode(root: Path) -> None:
    database = open_database(settings(root))
    put(database, "n", "1")
    sqlite_backup.copy_file(root / "disk" / "gateway.db", root / "copy.db")
    database.close()
    with closing(sqlite3.connect(f"file:{root / 'copy.db'}?mode=ro&immutable=1", uri=True)) as connection:
        assert connection.execute("SELECT value FROM meta WHERE name = 'n'").fetchone() == ("1",)
    assert (root / "copy.db").read_bytes()[18:20] == b"\x01\x01"


def test_the_copy_before_a_migration_is_kept_on_the_volume(root: Path) -> None:
    """The container disk is lost with the pod; the copy allows a return to an older gateway."""
    (root / "disk" / "gateway.db").unlink()
    with closing(sqlite3.connect(root / "disk" / "gateway.db")) as connection:
        connection.executescript(Path(__file__).parents[1].joinpath("user_version_3.sql").read_text())
    open_database(settings(root)).close()
    [copy] = epochs(root).root.glob("gateway.db.before-migration-from-*")
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)
    assert not list((root / "disk").glob("*before-migration*"))


def test_a_backup_of_a_superseded_gateway_is_refused(
    root: Path, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    database = open_database(settings(root))
    epochs(root).begin("pod-2")
    assert main(["backup", "--config", config, str(root / "saved")]) == 2
    assert "another pod has taken over" in capsys.readouterr().err
    assert not (root / "saved").exists()
    database.close()
