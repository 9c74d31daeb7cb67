"""The audit log: every act is in it, no secret is, and nobody can take a line back."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from provisioning.gateway.access import audit
from provisioning.gateway.access.audit import Act, By
from provisioning.gateway.access.issuing import Issuing
from provisioning.gateway.access.keystore import KeyStore
from provisioning.gateway.access.orders import NewKey
from provisioning.gateway.commands import POD
from provisioning.gateway.storage.database import Database
from tests.unit.gateway.conftest import PEPPER, Gate, ManualClock
from tests.unit.gateway.test_issuing import add_user, code, issue

AUDIT = "/api/gateway/audit"


async def test_every_act_is_written_down(gate: Gate) -> None:
    made = await issue(gate.admin, name="bot")
    await gate.admin.patch(f"/api/gateway/keys/{made['id']}", json={"name": "other"})
    await gate.admin.post(f"/api/gateway/keys/{made['id']}/rotate", json={})
    revoked = await gate.admin.post(f"/api/gateway/keys/{made['id']}/revoke")
    await add_user(gate, "ada", password="correct horse battery")
    await gate.admin.patch("/api/gateway/users/ada", json={"disabled": True, "password": None})
    await gate.admin.delete("/api/gateway/users/ada")
    items = (await gate.admin.get(AUDIT)).json()["items"]
    assert [item["act"] for item in items] == [
        "user.deleted", "user.updated", "user.created", "key.revoked", "key.rotated", "key.updated", "key.created",
    ]  # fmt: skip
    assert {item["actor"] for item in items} == {"admin"}
    line = next(item for item in items if item["act"] == "key.revoked")
    assert (line["target"], line["address"]) == (made["id"], "127.0.0.1")
    assert line["request_id"] == revoked.headers["x-request-id"]
    assert items[5]["detail"] == {"name": "other"}
    about = (await gate.admin.get(AUDIT, params={"target": "ada"})).json()["items"]
    assert [item["act"] for item in about] == ["user.deleted", "user.updated", "user.created"]
    assert "correct horse" not in (await gate.admin.get(AUDIT)).text


async def test_freeing_memory_is_an_act_that_everybody_feels(gate: Gate) -> None:
    made = await issue(gate.admin, scopes=["operate"], name="watchman")
    await gate.client(made["key"]).post("/free", json={"unload_models": True, "other": 1})
    [line, _] = (await gate.admin.get(AUDIT)).json()["items"]
    assert (line["actor"], line["act"], line["target"]) == ("watchman", "machine.memory_freed", "comfyui")
    assert line["detail"] == {"unload_models": True}


async def test_what_was_refused_is_not_in_it(gate: Gate) -> None:
    assert code(await gate.admin.post("/api/gateway/keys", json={"name": "x", "owner": "nobody"}))[0] == 400
    assert code(await gate.alice.post("/api/gateway/keys", json={"name": "x"}))[0] == 403
    assert (await gate.admin.get(AUDIT)).json() == {"items": [], "next_cursor": None}
    assert code(await gate.alice.get(AUDIT)) == (403, "insufficient_scope")


async def test_it_is_read_in_pages(gate: Gate) -> None:
    for number in range(5):
        await issue(gate.admin, name=f"key {number}")
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await gate.admin.get(AUDIT, params={"limit": "2", **cursor})).json()
        found += [item["detail"]["name"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert found == [f"key {number}" for number in (4, 3, 2, 1, 0)]
    assert code(await gate.admin.get(AUDIT, params={"cursor": "x"})) == (400, "invalid_request")


@pytest.mark.parametrize("statement", ["DELETE FROM audit", "UPDATE audit SET actor = 'nobody'"])
def test_the_database_itself_refuses_to_change_it(database: Database, statement: str) -> None:
    by = By(POD, "pod", "cli_1")
    database.run_now(lambda connection: audit.write(connection, by, Act.KEY_REVOKED, "a", 1, {}))
    with pytest.raises(SQLAlchemyError, match="append-only"):
        database.run_now(lambda connection: connection.execute(text(statement)).rowcount)
    assert database.run_now(lambda connection: connection.execute(text("SELECT actor FROM audit")).all()) == [("pod",)]


async def test_an_act_and_its_line_are_written_together_or_not_at_all(tmp_path: Path) -> None:
    database = Database(tmp_path / "gateway.db")
    database.run_now(lambda connection: connection.execute(text("DROP TABLE audit")).rowcount)
    store = KeyStore(database, PEPPER, ManualClock())
    with pytest.raises(Exception, match="store_unavailable"):
        await Issuing(store).create(By(POD, "pod", "cli_1"), NewKey(name="x"))
    assert await store.records() == []
    database.close()
