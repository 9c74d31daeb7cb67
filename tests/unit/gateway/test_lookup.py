"""Short SELECTs past SQLAlchemy's execution find what it finds, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, bindparam, insert, select, text

from provisioning.gateway.problems import Code, Problem
from provisioning.gateway.storage.database import Database
from provisioning.gateway.storage.lookup import Lookup, seen_by
from provisioning.gateway.storage.sealing import Sealer
from provisioning.gateway.storage.tables import JobRow, columns

SELECT = select(*columns(JobRow, ("id", "cancel_requested", "workflow", "label", "submitted_at")))
JOBS = Lookup(SELECT.where(JobRow.state == bindparam("state"), seen_by(JobRow.owner)).order_by(JobRow.sequence), tuple)
ABSENT = Lookup(select(text("nothing")).select_from(text("nowhere")), tuple)


def fill(connection: Connection) -> None:
    same = {"key_id": "key", "client_id": "", "state": "completed", "submitted_at": 2**40}
    for number, owner in enumerate(("ann", "bob")):
        own = {"id": f"job-{number}", "owner": owner, "workflow": b"{%d}" % number, "cancel_requested": number == 1}
        connection.execute(insert(JobRow).values(**same, **own))


async def seen(database: Database, owner: str | None, state: str = "completed") -> list[tuple[object, ...]]:
    return await database.read(lambda connection: JOBS.all(connection, owner=owner, state=state))


@pytest.mark.parametrize("active", [False, True])
async def test_values_are_what_their_columns_mean(database: Database, active: bool) -> None:
    sealed = Database(database.url, sealer=Sealer(["a secret of the settings"], active=active))
    sealed.run_now(fill)
    ann, bob = ("job-0", False, b"{0}", None, 2**40), ("job-1", True, b"{1}", None, 2**40)
    assert await seen(sealed, None) == [ann, bob]
    assert repr(await seen(sealed, "bob")) == repr([bob]), "a number is no boolean"
    assert await seen(sealed, "bob", "failed") == []
    sealed.close()


async def test_the_first(database: Database) -> None:
    database.run_now(fill)
    for owner, found in ((None, "job-0"), ("bob", "job-1"), ("eve", None)):
        row = await database.read(lambda c, owner=owner: JOBS.first(c, owner=owner, state="completed"))  # type: ignore[misc]
        assert (row and row[0]) == found


async def test_what_cannot_be_executed_is_an_error_of_the_database_and_its_last(database: Database) -> None:
    database.run_now(fill)
    with pytest.raises(Problem) as refused:
        await database.read(ABSENT.all)
    assert refused.value.code is Code.STORE_UNAVAILABLE
    assert len(await seen(database, None)) == 2
