"""Every route with another user's resources: none is shown and none is changed."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from provisioning.gateway.core.http.operation import Access, Operation
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.routes import OPERATIONS
from tests.unit.gateway.accounts import issue
from tests.unit.gateway.conftest import Gate, finish, until
from tests.unit.gateway.fake import PNG
from tests.unit.gateway.receiver import Receiver, receiving

CANARY = "canary-of-alice"
GRAPH = {"9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": CANARY}}}
ABSENT = {"uuid": "3f2c0000-0000-4000-8000-000000000000", "blake3": f"blake3:{'0' * 64}", "key": "0" * 8}
FOR_ALL = {"code": "not_found", "name": "SaveImage", "folder": "loras", "file": "a.json", "dest": "b.json", "path": "x"}
"""Path parameters that name no user's resource."""
MEMBER = ["client", "keys"]


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"webhook_allow_http": True, "webhook_allow_private": True, "webhook_ports": []}


async def member(gate: Gate, owner: str) -> tuple[httpx.AsyncClient, str]:
    """Return a client with a member's scopes and its key's id; the name of Alice's key contains the canary."""
    made = await issue(gate.admin, owner=owner, scopes=MEMBER, name=CANARY if owner == "alice" else "key", labels={})
    return gate.client(made["key"]), made["id"]


async def furnish(gate: Gate, alice: httpx.AsyncClient, receiver: Receiver) -> dict[str, str]:
    """Create one resource of each kind for Alice, with the canary where possible, and return their ids."""
    hook = {"url": f"{receiver.url}?{CANARY}", "description": CANARY, "events": ["job.succeeded"]}
    endpoint = (await alice.post("/api/gateway/webhooks", json=hook)).json()["id"]
    done = (await alice.post("/api/v2/jobs", json={"workflow": GRAPH, "metadata": {"of": CANARY}})).json()["id"]
    await finish(gate, done)
    await until(lambda: receiver.got)
    delivery = (await alice.get("/api/gateway/webhook-deliveries")).json()["deliveries"][0]["id"]
    batch = (await alice.post("/api/gateway/batches", json={"workflows": [GRAPH, GRAPH]})).json()
    output = (await alice.get(f"/api/v2/jobs/{done}")).json()["outputs"][0]["id"]
    form = {"file_path": f"{CANARY}.png", "content_type": "image/png"}
    upload = (await alice.post("/api/v2/assets", data=form, files={"file": ("a.png", PNG)})).json()
    return {
        "done": done, "waiting": batch["jobs"][0]["id"], "output": output, "upload": upload["id"],
        "hash": upload["hash"], "endpoint": endpoint, "delivery": delivery, "batch": batch["id"],
        "key": (await issue(alice, name=CANARY, labels={"of": CANARY}))["id"],
    }  # fmt: skip


def absent(thing: str) -> str:
    """Return an id of the same form that does not exist."""
    kind = thing.partition(":")[0]
    if kind == "blake3" or len(thing) == len(ABSENT["key"]):
        return ABSENT.get(kind, ABSENT["key"])
    prefix, separator, rest = thing.partition("_")
    return f"{prefix}_{'0' * len(rest)}" if separator else ABSENT["uuid"]


def request_for(route: Operation, thing: str) -> tuple[str, dict[str, Any]]:
    """Return the path and the arguments of a request that names `thing` in every parameter of a route."""
    path = route.path.format_map({**FOR_ALL, "id": thing, "hash": thing})
    asked = {"webhook": thing} if route.path == "/api/gateway/webhook-deliveries" else {}
    if route.path == "/view":
        asked = {"filename": thing, "subfolder": thing}
    if route.method in {"GET", "DELETE"}:
        return path, {"params": asked}
    if route.path == "/api/gateway/keys":
        return path, {"json": {"name": "x", "owner": "alice", "id": thing}}
    if route.path == "/api/gateway/signed-urls":
        return path, {"json": {"url": f"/api/v2/assets/{thing}/content", "seconds": 60}}
    named = {"delete": [thing], "job_ids": [thing], "prompt_id": thing, "hash": thing, "id": thing, "clear": True}
    return path, {"json": {"name": "taken over"} if route.method == "PATCH" else named}


def plain(answer: httpx.Response, *things: str) -> tuple[int, str]:
    """Return a response without the request's id and the given ids."""
    text = answer.text.replace(answer.headers["x-request-id"], "REQUEST")
    for thing in things:
        text = text.replace(thing, "THING")
    return answer.status_code, text


UNLIKE = {"/api/gateway/signed-urls", "/api/gateway/tickets"}
"""Routes whose response is different each time; other tests cover the access it gives."""
ASKED = [
    route for route in OPERATIONS if not (route.lasting and "{" not in route.path) and route.access is not Access.PUBLIC
]


async def state(alice: httpx.AsyncClient, things: dict[str, str]) -> list[tuple[int, str]]:
    """Return Alice's view of her resources."""
    where = {
        "/api/v2/jobs": ("done", "waiting"), "/api/v2/assets": ("output", "upload"), "/history": ("done",),
        "/api/v2/assets/by-hash": ("hash",), "/api/gateway/webhooks": ("endpoint",), "/api/gateway/keys": ("key",),
        "/api/gateway/webhook-deliveries": ("delivery",), "/api/gateway/batches": ("batch",),
    }  # fmt: skip
    paths = [f"{path}/{things[name]}" for path, names in where.items() for name in names]
    return [plain(await alice.get(path)) for path in [*paths, "/api/gateway/keys", "/api/gateway/webhooks"]]


async def test_another_users_resources_look_absent_and_stay_unchanged(gate: Gate) -> None:
    (alice, key), (bob, own) = await member(gate, "alice"), await member(gate, "bob")
    async with receiving() as receiver:
        things = await furnish(gate, alice, receiver)
        before, used = await state(alice, things), gate.rows("SELECT * FROM usage_events")
        assert {status for status, _ in before} == {200}
        for route in ASKED:
            for thing in (*things.values(), key):
                where, rest = request_for(route, thing)
                answer = await bob.request(route.method, where, **rest)
                other, rest = request_for(route, absent(thing))
                missing = await bob.request(route.method, other, **rest)
                told = answer.text.replace(thing, "")
                assert CANARY not in told, (route.method, where)
                assert not [each for each in things.values() if each in told], (route.method, where)
                if route.access is not Scope.MONITOR and route.path not in UNLIKE:
                    found = plain(answer, thing, absent(thing)), plain(missing, thing, absent(thing))
                    assert found[0] == found[1], (route.method, where)
        assert await state(alice, things) == before
        assert gate.rows("SELECT * FROM usage_events") == used
    assert own not in str(before)


async def test_usage_and_quotas_show_only_the_callers_own(gate: Gate) -> None:
    (alice, _), (bob, _) = await member(gate, "alice"), await member(gate, "bob")
    async with receiving() as receiver:
        await furnish(gate, alice, receiver)
    assert (await alice.get("/api/gateway/usage")).json()["rows"] != []
    told = (await bob.get("/api/gateway/usage", params={"owner": "alice", "user": "alice", "of": "alice"})).json()
    assert told["rows"] == []
    assert (await bob.get("/api/gateway/quotas", params={"owner": "alice"})).json()["owner"] == "bob"
    assert (await bob.get("/api/gateway/usage/events")).status_code == 403


async def test_tickets_and_signed_urls_grant_no_access_to_other_users_resources(gate: Gate) -> None:
    """Tickets and signed URLs that Bob creates show only what Bob may see."""
    (alice, _), (bob, _) = await member(gate, "alice"), await member(gate, "bob")
    nobody = gate.client(None)
    async with receiving() as receiver:
        things = await furnish(gate, alice, receiver)
    kinds = {"v2/jobs": "done", "v2/assets": "output", "gateway/batches": "batch", "gateway/webhooks": "endpoint",
             "gateway/keys": "key", "gateway/webhook-deliveries": "delivery"}  # fmt: skip
    for kind, name in kinds.items():
        path = f"/api/{kind}/{things[name]}"
        made = (await bob.post("/api/gateway/tickets", json={"path": path})).json()
        assert (await nobody.get(made["url"])).status_code == 404, path
        assert (await nobody.get((await alice.post("/api/gateway/tickets", json={"path": path})).json()["url"])).text
    for asset in (things["output"], things["upload"]):
        order = {"url": f"/api/v2/assets/{asset}/content", "seconds": 60}
        made = (await bob.post("/api/gateway/signed-urls", json=order)).json()
        assert (await nobody.get(made["url"])).status_code == 404


async def test_an_admin_sees_every_users_resources(gate: Gate) -> None:
    alice, _ = await member(gate, "alice")
    async with receiving() as receiver:
        things = await furnish(gate, alice, receiver)
    kinds = {"v2/jobs": ("done", "waiting"), "v2/assets": ("output", "upload"), "gateway/batches": ("batch",),
             "gateway/keys": ("key",), "gateway/webhooks": ("endpoint",),
             "gateway/webhook-deliveries": ("delivery",)}  # fmt: skip
    for kind, names in kinds.items():
        for name in names:
            assert (await gate.admin.get(f"/api/{kind}/{things[name]}")).status_code == 200, name
