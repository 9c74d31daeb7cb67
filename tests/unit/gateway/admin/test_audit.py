"""The audit log: it contains every change and no secret, and entries cannot be deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from provisioning.gateway.accounts.store import KeyStore
from provisioning.gateway.admin import audit
from provisioning.gateway.admin.audit import AuditAction, AuditContext
from provisioning.gateway.cli.commands import POD
from provisioning.gateway.core.database.database import Database
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.keys.schemas import NewKey
from provisioning.gateway.keys.service import KeyService
from provisioning.gateway.routes import OPERATIONS
from tests.unit.gateway.accounts import add_user, issue
from tests.unit.gateway.conftest import PEPPER, Gate, ManualClock, finish, submit, taken, until, workflow
from tests.unit.gateway.problems import code
from tests.unit.gateway.receiver import Receiver, receiving

LOCAL = {"webhook_allow_http": True, "webhook_allow_private": True, "webhook_ports": []}
AUDIT = "/api/gateway/audit"


async def test_every_change_is_recorded(gate: Gate) -> None:
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


async def test_freeing_memory_is_recorded(gate: Gate) -> None:
    made = await issue(gate.admin, scopes=["operate"], name="watchman")
    await gate.client(made["key"]).post("/free", json={"unload_models": True, "other": 1})
    [line, _] = (await gate.admin.get(AUDIT)).json()["items"]
    assert (line["actor"], line["act"], line["target"]) == ("watchman", "machine.memory_freed", "comfyui")
    assert line["detail"] == {"unload_models": True}


WORKSPACE = {
    ("POST", "/settings"), ("POST", "/settings/{id}"), ("POST", "/userdata/{file}"), ("DELETE", "/userdata/{file}"),
    ("POST", "/userdata/{file}/move/{dest}"),
}  # fmt: skip
IN_ORDER = [
    ("POST", "/api/gateway/users", {"name": "ada"}), ("PATCH", "/api/gateway/users/{name}", {"labels": {"a": "b"}}),
    ("DELETE", "/api/gateway/users/{name}", {}), ("POST", "/free", {"free_memory": True}),
    *((method, path, {}) for method, path in sorted(WORKSPACE)),
]  # fmt: skip


async def lines(gate: Gate) -> list[dict[str, Any]]:
    """Return the log, newest first."""
    items: list[dict[str, Any]] = (await gate.admin.get(AUDIT, params={"limit": "200"})).json()["items"]
    return items


async def test_changes_by_admins_and_operators_are_recorded(gate: Gate) -> None:
    """Checks the route table, so that a new route of this kind must be added here."""
    changing = {
        (route.method, route.path)
        for route in OPERATIONS
        if route.method != "GET" and route.access in {Scope.ADMIN, Scope.OPERATE, Scope.MONITOR}
    }
    assert changing == {(method, path) for method, path, _ in IN_ORDER}
    names = {"name": "ada", "id": "Comfy.Theme", "file": "a.json", "dest": "b.json"}
    for method, path, order in IN_ORDER:
        before = len(await lines(gate))
        answer = await gate.admin.request(method, path.format(**names), json=order or None)
        assert answer.status_code < 300, (path, answer.text)
        assert len(await lines(gate)) == before + 1, path
    assert (await lines(gate))[0]["detail"]["method"] == "POST"


@pytest.mark.parametrize("overrides", [LOCAL])
async def test_changes_to_other_users_resources_are_recorded_and_own_ones_are_not(gate: Gate) -> None:
    async with receiving() as receiver:
        done: dict[str, list[str]] = {}
        for name, client in (("alice", gate.alice), ("admin", gate.admin)):
            await everything(gate, client, receiver)
            done[name] = [line["act"] for line in reversed(await lines(gate))]
    assert done["alice"] == []
    assert done["admin"] == [
        "jobs.ended", "jobs.ended", "jobs.ended", "jobs.ended", "batch.cancelled", "jobs.ended", "history.cleared",
        "history.cleared", "asset.deleted", "webhook.updated", "webhook.rotated", "webhook.tested",
        "webhook.redelivered", "webhook.deleted",
    ]  # fmt: skip
    told = await lines(gate)
    assert {line["actor"] for line in told} == {"admin"}
    assert {line["detail"].get("owner", "alice") for line in told} == {"alice"}
    assert (
        next(line for line in told if line["target"] == "jobs" and line["act"] == "jobs.ended")["detail"]["count"] == 2
    )


async def everything(gate: Gate, client: httpx.AsyncClient, receiver: Receiver) -> None:
    """Make every possible change to Alice's resources."""

    async def do(method: str, path: str, body: object = None) -> None:
        answer = await client.request(method, path, json=body if body is not None else None)
        assert answer.status_code < 300, (path, answer.text)

    hook = {"url": receiver.url, "events": ["job.succeeded"]}
    endpoint = (await gate.alice.post("/api/gateway/webhooks", json=hook)).json()["id"]
    finished = await submit(gate.alice)
    await finish(gate, finished)
    running = await submit(gate.alice)
    await taken(gate, running)
    await gate.comfy.begin(running)
    await until(gate.app.services.tracker.running)
    jobs = [await submit(gate.alice) for _ in range(3)]
    await do("POST", "/interrupt", {})
    await do("POST", f"/api/v2/jobs/{jobs[0]}/cancel")
    await do("POST", f"/api/jobs/{jobs[1]}/cancel")
    await do("POST", "/queue", {"delete": [jobs[2]]})
    batch = (await gate.alice.post("/api/gateway/batches", json={"workflows": [workflow(), workflow()]})).json()
    await do("POST", f"/api/gateway/batches/{batch['id']}/cancel")
    await gate.comfy.end(running, interrupted=True)
    await until(lambda: gate.app.services.tracker.get(running) is None)
    gate.comfy.running.clear()
    more = [await submit(gate.alice) for _ in range(2)]
    await do("POST", "/queue", {"clear": True})
    assert all(gate.app.services.tracker.get(job) is None for job in more)
    output = (await gate.alice.get(f"/api/v2/jobs/{finished}")).json()["outputs"][0]["id"]
    await do("POST", "/history", {"delete": [finished]})
    await do("POST", "/history", {"clear": True})
    await do("DELETE", f"/api/v2/assets/{output}")
    await until(lambda: receiver.got)
    delivery = (await gate.alice.get("/api/gateway/webhook-deliveries")).json()["deliveries"][0]["id"]
    await do("PATCH", f"/api/gateway/webhooks/{endpoint}", {"description": "x"})
    await do("POST", f"/api/gateway/webhooks/{endpoint}/rotate", {})
    await do("POST", f"/api/gateway/webhooks/{endpoint}/test", {})
    await do("POST", f"/api/gateway/webhook-deliveries/{delivery}/redeliver", {})
    await do("DELETE", f"/api/gateway/webhooks/{endpoint}")
    receiver.got.clear()


async def test_a_change_that_cannot_be_recorded_is_not_made(gate: Gate) -> None:
    job = await submit(gate.alice)
    await taken(gate, job)
    gate.database.run_now(lambda connection: connection.execute(text("DROP TABLE audit")).rowcount)
    for path, body in ((f"/api/v2/jobs/{job}/cancel", {}), ("/queue", {"clear": True})):
        assert code(await gate.admin.post(path, json=body)) == (503, "store_unavailable")
    assert gate.app.services.tracker.get(job) is not None
    assert (await gate.alice.post(f"/api/v2/jobs/{job}/cancel")).status_code == 200


async def test_refused_changes_are_not_recorded(gate: Gate) -> None:
    assert code(await gate.admin.post("/api/gateway/keys", json={"name": "x", "owner": "nobody"}))[0] == 400
    assert code(await gate.alice.post("/api/gateway/keys", json={"name": "x"}))[0] == 403
    assert (await gate.admin.get(AUDIT)).json() == {"items": [], "next_cursor": None}
    assert code(await gate.alice.get(AUDIT)) == (403, "insufficient_scope")


async def test_the_audit_log_is_paginated(gate: Gate) -> None:
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
def test_the_database_refuses_to_change_an_audit_entry(database: Database, statement: str) -> None:
    by = AuditContext(POD, "pod", "cli_1")
    database.run_now(lambda connection: audit.write(connection, by, AuditAction.KEY_REVOKED, "a", 1, {}))
    with pytest.raises(SQLAlchemyError, match="append-only"):
        database.run_now(lambda connection: connection.execute(text(statement)).rowcount)
    assert database.run_now(lambda connection: connection.execute(text("SELECT actor FROM audit")).all()) == [("pod",)]


async def test_a_change_and_its_audit_entry_are_one_transaction(tmp_path: Path) -> None:
    database = Database(tmp_path / "gateway.db")
    database.run_now(lambda connection: connection.execute(text("DROP TABLE audit")).rowcount)
    store = KeyStore(database, PEPPER, ManualClock())
    with pytest.raises(Exception, match="store_unavailable"):
        await KeyService(store).create(AuditContext(POD, "pod", "cli_1"), NewKey(name="x"))
    assert await store.records() == []
    database.close()
