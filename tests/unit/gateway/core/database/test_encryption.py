"""Encrypted values do not appear in a copy of the database."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import URL, Text, literal, select

from provisioning.gateway.core.database.database import Database, DatabaseError
from provisioning.gateway.core.database.encryption import MAGIC, TEXT_MAGIC, ColumnCipher, SealedText, SealError
from provisioning.gateway.core.database.tables import JobRow
from provisioning.gateway.core.settings import GatewaySettings
from provisioning.gateway.jobs.job import Job, JobOutcome, JobState
from provisioning.gateway.jobs.ledger import Ledger
from tests.unit.gateway.conftest import PEPPER

CANARY = "canary-prompt-of-a-red-fox"
WORKFLOW = b'{"6": {"inputs": {"text": "%s"}}}' % CANARY.encode()
ON, OFF = (
    ColumnCipher(["a secret of the settings"], active=True),
    ColumnCipher(["a secret of the settings"], active=False),
)


def job(job_id: str = "job-1") -> Job:
    return Job(job_id, "key", "owner", False, "", WORKFLOW, 1000)


def done() -> JobOutcome:
    return JobOutcome(JobState.COMPLETED, 1000, 2000, 500, {"prompt": [0, "job-1", {"text": CANARY}]})


async def run_one(database: Database, job_id: str = "job-1") -> None:
    ledger = Ledger(database, 1.0)
    await ledger.accept(job(job_id))
    await ledger.finished(job(job_id), done())


async def read_back(database: Database, job_id: str = "job-1") -> None:
    ledger = Ledger(database, 1.0)
    row = await ledger.row(job_id, "owner")
    assert row is not None
    assert row.workflow == WORKFLOW
    assert CANARY in str(await ledger.history_of(job_id, "owner"))


@pytest.mark.parametrize(("cipher", "found"), [(OFF, True), (ON, False)])
async def test_prompts_are_encrypted_in_the_files(tmp_path: Path, cipher: ColumnCipher, found: bool) -> None:
    path = tmp_path / "gateway.db"
    database = Database(path, cipher=cipher)
    await run_one(database)
    await read_back(database)
    everything = b"".join(each.read_bytes() for each in path.parent.glob(f"{path.name}*"))
    assert (CANARY.encode() in everything) is found
    database.close()


async def test_prompts_are_encrypted_in_the_rows(address: URL) -> None:
    database = Database(address, cipher=ON)
    await run_one(database)
    raw = database.run_now(lambda c: [bytes(v) for v in c.exec_driver_sql("SELECT workflow, history FROM jobs").one()])
    assert all(value.startswith(MAGIC) and CANARY.encode() not in value for value in raw)
    database.close()


async def test_rows_from_before_and_after_the_option_are_readable(address: URL) -> None:
    for number, cipher in enumerate((OFF, ON, OFF)):
        database = Database(address, cipher=cipher)
        await run_one(database, f"job-{number}")
        for earlier in range(number + 1):
            await read_back(database, f"job-{earlier}")
        database.close()


async def test_deleted_rows_are_overwritten(tmp_path: Path) -> None:
    database = Database(tmp_path / "gateway.db", cipher=OFF)
    await run_one(database)
    database.close()
    database = Database(tmp_path / "gateway.db", cipher=ON)
    await Ledger(database, 1.0).prune(3000)
    database.close()
    assert CANARY.encode() not in (tmp_path / "gateway.db").read_bytes()


async def test_decryption_with_another_secret_needs_the_former_one(address: URL) -> None:
    database = Database(address, cipher=ON)
    await run_one(database)
    database.close()
    for active in (True, False):
        with pytest.raises(DatabaseError, match="former_encryption_keys"):
            Database(address, cipher=ColumnCipher(["another secret"], active=active))
    database = Database(address, cipher=ColumnCipher(["another secret", "a secret of the settings"], active=True))
    await read_back(database)
    database.close()


async def test_a_modified_or_moved_value_is_detected(tmp_path: Path) -> None:
    database = Database(tmp_path / "gateway.db", cipher=ON)
    await run_one(database)
    for change in (
        "SET workflow = CAST(substr(workflow, 1, length(workflow) - 1)"
        " || CASE substr(workflow, -1) WHEN x'00' THEN x'01' ELSE x'00' END AS BLOB)",
        "SET workflow = history",
    ):
        raw = sqlite3.connect(tmp_path / "gateway.db")
        raw.execute(f"UPDATE jobs {change}")
        raw.commit()
        raw.close()
        with pytest.raises(SealError, match=r"jobs\.workflow"):
            database.run_now(lambda connection: connection.execute(select(JobRow.workflow)).all())
    database.close()


@given(st.binary(max_size=200), st.booleans())
def test_bytes_round_trip(value: bytes, magic: bool) -> None:
    value = MAGIC + value if magic else value
    assert ON.open(ON.seal(value, "a"), "a") == value
    assert ON.seal(value, "a") != ON.seal(value, "a")


@pytest.mark.parametrize("cipher", [ON, OFF])
@pytest.mark.parametrize("value", ["", "bot", f"{TEXT_MAGIC}forged", "naïve \N{SNOWMAN}", None])
def test_text_round_trip(tmp_path: Path, empty_file: Path, cipher: ColumnCipher, value: str | None) -> None:
    database = Database(shutil.copy(empty_file, tmp_path / "gateway.db"), cipher=cipher)
    sealed = literal(value, SealedText("a.b"))
    stored = database.run_now(lambda connection: connection.execute(select(sealed)).scalar())
    assert stored == value
    raw = database.run_now(lambda connection: connection.execute(select(sealed.op("||")(literal("", Text)))).scalar())
    assert raw == value
    database.close()


def test_the_pepper_encrypts_unless_there_is_an_encryption_key() -> None:
    raw = {"upstream": "http://127.0.0.1:8188", "database": "x.db", "pepper": PEPPER}
    assert GatewaySettings.model_validate(raw).encryption_keys == (PEPPER, PEPPER)
    more = {"encryption_key": "0123456789abcdef", "former_encryption_keys": ["former-pepper"]}
    keys = GatewaySettings.model_validate(raw | more).encryption_keys
    assert keys == ("0123456789abcdef", PEPPER, "former-pepper")
