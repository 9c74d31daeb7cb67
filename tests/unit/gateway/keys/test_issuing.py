"""The routes that manage keys, and the limits on what callers may do with them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from provisioning.gateway.accounts import key_format
from provisioning.gateway.core.scopes import ROLES, Role, Scope, expand
from tests.unit.gateway.accounts import KEYS, add_user, issue
from tests.unit.gateway.conftest import Gate, submit
from tests.unit.gateway.problems import code


async def test_a_secret_is_shown_once_and_never_stored_or_logged(gate: Gate, capfd: pytest.CaptureFixture[str]) -> None:
    made = await issue(gate.admin, name="canary", labels={"team": "red"}, scopes=["read"])
    secret = made["key"][17:]
    shown = (await gate.admin.get(f"{KEYS}/{made['id']}")).json()
    assert shown == {name: value for name, value in made.items() if name != "key"}
    assert shown["hint"] == f"cgw_live_{made['id']}...{made['key'][-4:]}"
    assert (shown["labels"], shown["scopes"], shown["state"], shown["owner"]) == (
        {"team": "red"},
        ["read"],
        "active",
        made["id"],
    )
    assert secret not in (await gate.admin.get("/api/gateway/audit")).text
    assert secret not in (await gate.admin.get(KEYS)).text
    stored = gate.rows("SELECT * FROM keys") + gate.rows("SELECT * FROM audit")
    assert not any(
        secret in str(cell) or secret.encode() in bytes(str(cell), "utf-8") for row in stored for cell in row
    )
    assert secret not in "".join(capfd.readouterr())


async def test_the_list_of_keys_is_paginated(gate: Gate) -> None:
    made = []
    for number in range(5):
        gate.clock.advance(1)
        made.append((await issue(gate.admin, name=f"key {number}"))["id"])
    first = (await gate.admin.get(KEYS, params={"limit": 2})).json()
    second = (await gate.admin.get(KEYS, params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [item["id"] for page in (first, second) for item in page["items"]] == made[:0:-1]
    assert len((await gate.admin.get(KEYS, params={"limit": 200})).json()["items"]) == 8
    await gate.admin.post(f"{KEYS}/{made[0]}/revoke")
    revoked = (await gate.admin.get(KEYS, params={"state": "revoked"})).json()
    assert [item["id"] for item in revoked["items"]] == made[:1]
    for params in ({"limit": "0"}, {"limit": "201"}, {"limit": "x"}, {"cursor": "x"}, {"state": "dead"}):
        assert code(await gate.admin.get(KEYS, params=params)) == (400, "invalid_request"), params


async def test_both_secrets_work_during_the_overlap_of_a_rotation(gate: Gate) -> None:
    made = await issue(gate.admin)
    job = await submit(gate.client(made["key"]))
    rotated = (await gate.admin.post(f"{KEYS}/{made['id']}/rotate", json={"overlap_seconds": 60})).json()
    assert rotated["id"] == made["id"] == key_format.key_id(rotated["key"])
    for token in (made["key"], rotated["key"]):
        assert job in str((await gate.client(token).get("/queue")).json())
    gate.clock.advance(60)
    assert code(await gate.client(made["key"]).get("/queue")) == (401, "key_revoked")
    assert (await gate.client(rotated["key"]).get("/queue")).status_code == 200
    at_once = (await gate.admin.post(f"{KEYS}/{made['id']}/rotate", json={"overlap_seconds": 0})).json()
    assert code(await gate.client(rotated["key"]).get("/queue")) == (401, "key_revoked")
    assert code(await gate.client(made["key"]).get("/queue")) == (401, "invalid_key")
    assert (await gate.client(at_once["key"]).get("/queue")).status_code == 200


async def test_concurrent_rotations_give_one_valid_secret(gate: Gate) -> None:
    made = await issue(gate.admin)
    client = gate.admin
    answers = await asyncio.gather(*(client.post(f"{KEYS}/{made['id']}/rotate", json={}) for _ in range(4)))
    good = [answer.json()["key"] for answer in answers if answer.status_code == 200]
    assert good
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert (await gate.client(good[-1]).get("/queue")).status_code == 200


async def test_a_revoked_key_stays_revoked(gate: Gate) -> None:
    made = await issue(gate.admin)
    for _ in range(2):
        assert (await gate.admin.post(f"{KEYS}/{made['id']}/revoke")).json()["state"] == "revoked"
    for path, method in ((f"{KEYS}/{made['id']}", "PATCH"), (f"{KEYS}/{made['id']}/rotate", "POST")):
        assert code(await gate.admin.request(method, path, json={})) == (409, "state_conflict")
    assert code(await gate.client(made["key"]).get("/queue")) == (401, "key_revoked")


async def test_a_key_is_refused_after_it_expires(gate: Gate) -> None:
    now = datetime.fromtimestamp(gate.clock.now, UTC)
    made = await issue(gate.admin, expires_at=(now + timedelta(seconds=30)).isoformat())
    client = gate.client(made["key"])
    assert (await client.get("/queue")).status_code == 200
    gate.clock.advance(30)
    assert code(await client.get("/queue")) == (401, "key_expired")
    assert (await gate.admin.get(f"{KEYS}/{made['id']}")).json()["state"] == "expired"
    assert (await gate.admin.patch(f"{KEYS}/{made['id']}", json={"expires_at": None})).status_code == 200
    assert (await client.get("/queue")).status_code == 200
    past = await gate.admin.post(KEYS, json={"name": "x", "expires_at": now.isoformat()})
    assert code(past) == (400, "invalid_request")


async def test_a_change_of_a_key_takes_effect_at_the_next_request(gate: Gate) -> None:
    await add_user(gate, "team")
    made = await issue(gate.admin, scopes=["read"])
    client = gate.client(made["key"])
    assert code(await client.post("/free", json={})) == (403, "insufficient_scope")
    change = {"name": "other", "scopes": ["operate"], "limits": {"requests_per_minute": 2}, "labels": {"a": "b"}}
    changed = (await gate.admin.patch(f"{KEYS}/{made['id']}", json=change)).json()
    assert (changed["name"], changed["scopes"], changed["labels"]) == ("other", ["operate"], {"a": "b"})
    assert (await client.post("/free", json={})).headers["ratelimit-policy"].startswith('"perkey";q=2;w=60')
    assert code(await gate.admin.patch(f"{KEYS}/{made['id']}", json={"owner": "team"})) == (400, "invalid_request"), (
        "a member"
    )
    both = {"owner": "team", "scopes": ["client"]}
    assert (await gate.admin.patch(f"{KEYS}/{made['id']}", json=both)).json()["owner"] == "team"


async def test_the_last_use_of_a_key_is_shown_and_stored(gate: Gate) -> None:
    made = await issue(gate.admin)
    assert made["last_used_at"] is None
    gate.clock.advance(5)
    await gate.client(made["key"]).get("/queue")
    used = round(gate.clock.now * 1000)
    shown = (await gate.admin.get(f"{KEYS}/{made['id']}")).json()
    assert datetime.fromisoformat(shown["last_used_at"]).timestamp() * 1000 == used
    assert gate.rows("SELECT last_used_at FROM keys WHERE name = 'bot'") == [(None,)]
    await gate.store.flush()
    assert gate.rows("SELECT last_used_at FROM keys WHERE name = 'bot'") == [(used,)]


async def test_keys_of_the_stack_can_only_be_rotated_by_the_stack(gate: Gate) -> None:
    alice = key_format.key_id(gate.keyring.alice)
    assert (await gate.admin.get(f"{KEYS}/{alice}")).json()["managed_by"] == "stack"
    for method, path, body in (("POST", "rotate", {}), ("PATCH", "", {"scopes": ["read"]})):
        answer = await gate.admin.request(method, f"{KEYS}/{alice}/{path}".rstrip("/"), json=body)
        assert code(answer) == (409, "state_conflict")
    assert (await gate.admin.patch(f"{KEYS}/{alice}", json={"limits": {"max_requests": 3}})).status_code == 200
    assert (await gate.admin.post(f"{KEYS}/{alice}/revoke")).status_code == 200
    assert code(await gate.alice.get("/queue")) == (401, "key_revoked")


@pytest.mark.parametrize(
    ("order", "pointer"),
    [
        ({}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": "a\nb"}, "/name"),
        ({"name": "x", "scopes": []}, "/scopes"),
        ({"name": "x", "scopes": ["root"]}, "/scopes/0"),
        ({"name": "x", "colour": "red"}, "/colour"),
        ({"name": "x", "owner": "nobody"}, "/owner"),
        ({"name": "x", "owner": "a/b"}, "/owner"),
        ({"name": "x", "expires_at": "2030-01-01"}, "/expires_at"),
        ({"name": "x", "expires_at": "2030-01-01T00:00:00"}, "/expires_at"),
        ({"name": "x", "limits": {"speed": 1}}, "/limits/speed"),
        ({"name": "x", "limits": {"requests_per_minute": 0}}, "/limits/requests_per_minute"),
        ({"name": "x", "limits": {"requests_per_minute": "5"}}, "/limits/requests_per_minute"),
        ({"name": "x", "limits": {"quotas": {"hours": {"day": 1}}}}, "/limits/quotas"),
        ({"name": "x", "limits": {"quotas": {"jobs": {"year": 1}}}}, "/limits/quotas/jobs"),
        ({"name": "x", "limits": {"quotas": {"usd": {"day": -1}}}}, "/limits/quotas/usd/day"),
        ({"name": "x", "labels": {"a b": "c"}}, "/labels"),
    ],
)
async def test_invalid_keys_are_refused(gate: Gate, order: dict[str, object], pointer: str) -> None:
    answer = await gate.admin.post(KEYS, json=order)
    assert code(answer) == (400, "invalid_request")
    assert any(fault["pointer"].startswith(pointer) for fault in answer.json()["errors"]), answer.json()


async def test_a_key_cannot_have_scopes_its_creator_lacks(gate: Gate) -> None:
    """For every role and scope: a key can grant its own scopes and no others."""
    for role in (Role.MEMBER, Role.OPERATOR, Role.ADMIN):
        name = f"person-{role}"
        await add_user(gate, name, role)
        scopes = sorted(ROLES[role])
        own = await issue(gate.admin, owner=name, scopes=scopes)
        client = gate.client(own["key"])
        for scope in Scope:
            answer = await client.post(KEYS, json={"name": "x", "scopes": [scope], "owner": name})
            if expand({scope}) <= ROLES[role]:
                assert answer.status_code == 201, (role, scope)
                continue
            assert code(answer) == (403, "more_than_own"), (role, scope)
            change = await client.patch(f"{KEYS}/{own['id']}", json={"scopes": [*scopes, scope]})
            assert code(change) == (403, "more_than_own"), (role, scope)


async def test_managing_keys_requires_the_scope(gate: Gate) -> None:
    other = await issue(gate.admin)
    for client in (gate.alice, gate.client((await issue(gate.admin, scopes=["read", "operate"]))["key"])):
        for method, path in (("GET", ""), ("POST", ""), ("GET", f"/{other['id']}"), ("PATCH", f"/{other['id']}"),
                             ("POST", f"/{other['id']}/rotate"), ("POST", f"/{other['id']}/revoke")):  # fmt: skip
            assert code(await client.request(method, f"{KEYS}{path}", json={})) == (403, "insufficient_scope")


async def test_a_member_manages_only_keys_of_its_user(gate: Gate) -> None:
    """Other users' keys are not found; keys of the same user with more scopes cannot be rotated or changed."""
    await add_user(gate, "team", Role.OPERATOR)
    strong = await issue(gate.admin, owner="team", scopes=["client", "operate", "keys"])
    weak = await issue(gate.admin, owner="team", scopes=["client", "keys"])
    stranger, client = await issue(gate.admin), gate.client(weak["key"])
    for method, path in (("GET", ""), ("PATCH", ""), ("POST", "/rotate"), ("POST", "/revoke")):
        assert code(await client.request(method, f"{KEYS}/{stranger['id']}{path}", json={})) == (404, "not_found")
    absent = await client.get(f"{KEYS}/00000000")
    theirs = await client.get(f"{KEYS}/{stranger['id']}")
    assert {**absent.json(), "instance": "", "request_id": ""} == {**theirs.json(), "instance": "", "request_id": ""}
    for method, path in (("PATCH", ""), ("POST", "/rotate")):
        assert code(await client.request(method, f"{KEYS}/{strong['id']}{path}", json={})) == (403, "more_than_own")
    listed = {item["id"] for item in (await client.get(KEYS)).json()["items"]}
    assert listed == {strong["id"], weak["id"]}
    for order in ({"owner": "alice"}, {"limits": {"max_queued": 1}}):
        assert code(await client.post(KEYS, json={"name": "x", **order})) == (403, "more_than_own"), order
    own = await issue(client, scopes=["read"])
    assert own["owner"] == "team"
    assert code(await client.patch(f"{KEYS}/{own['id']}", json={"owner": "alice"})) == (403, "more_than_own")


async def test_a_limited_key_cannot_create_an_unlimited_one(gate: Gate) -> None:
    await add_user(gate, "team")
    now = datetime.fromtimestamp(gate.clock.now, UTC)
    day, week = ((now + timedelta(days=days)).isoformat() for days in (1, 7))
    short = gate.client((await issue(gate.admin, owner="team", scopes=["client", "keys"], expires_at=day))["key"])
    for order in ({}, {"expires_at": week}):
        assert code(await short.post(KEYS, json={"name": "x", **order})) == (403, "more_than_own")
    made = await issue(short, expires_at=day)
    assert code(await short.patch(f"{KEYS}/{made['id']}", json={"expires_at": None})) == (403, "more_than_own")
    limits = {"requests_per_minute": 5}
    slow = gate.client((await issue(gate.admin, owner="team", scopes=["client", "keys"], limits=limits))["key"])
    assert code(await slow.post(KEYS, json={"name": "x"})) == (403, "more_than_own")


async def test_the_users_role_limits_a_keys_scopes(gate: Gate) -> None:
    await add_user(gate, "team", Role.OPERATOR)
    client = gate.client((await issue(gate.admin, owner="team", scopes=["client", "operate"]))["key"])
    assert (await client.post("/free", json={})).status_code == 200
    await gate.admin.patch("/api/gateway/users/team", json={"role": "viewer"})
    assert code(await client.post("/free", json={})) == (403, "insufficient_scope")
    assert code(await client.post("/prompt", json={})) == (403, "insufficient_scope")
    assert (await client.get("/queue")).status_code == 200
