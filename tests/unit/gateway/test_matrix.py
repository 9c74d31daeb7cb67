"""Every route x another user's things, from the route table: nothing is told of them, and nothing happens to them."""

from __future__ import annotations

from typing import Any

from provisioning.gateway.access.scopes import Scope
from provisioning.gateway.route import Access, Route
from provisioning.gateway.routes import ROUTES
from tests.unit.gateway.conftest import Gate, finish, submit
from tests.unit.gateway.fake import PNG

CANARY = "canary-of-alice"
ABSENT = "3f2c0000-0000-4000-8000-000000000000"
FOR_ALL = {"code": "not_found", "name": "SaveImage", "folder": "loras", "file": "a.json", "dest": "b.json", "path": "x"}
"""Parts of paths that name nothing of anybody's."""


async def furnish(gate: Gate) -> dict[str, str]:
    """Return the ids of a finished job, a waiting one, an output and an upload of alice's, each bearing the canary."""
    graph = {"9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": CANARY}}}
    done = (await gate.alice.post("/api/v2/jobs", json={"workflow": graph})).json()["id"]
    await finish(gate, done)
    waiting = await submit(gate.alice, prompt=graph)
    output = (await gate.alice.get(f"/api/v2/jobs/{done}")).json()["outputs"][0]["id"]
    form = {"file_path": f"{CANARY}.png", "content_type": "image/png"}
    upload = (await gate.alice.post("/api/v2/assets", data=form, files={"file": ("a.png", PNG)})).json()
    return {"done": done, "waiting": waiting, "output": output, "upload": upload["id"], "hash": upload["hash"]}


def request_for(route: Route, thing: str) -> tuple[str, dict[str, Any]]:
    """Return the path and the rest of a request that names `thing` wherever a route could take it."""
    path = route.path.format_map({**FOR_ALL, "id": thing, "hash": thing})
    if route.method in {"GET", "DELETE"}:
        return path, {"params": {"filename": thing, "subfolder": thing} if route.path == "/view" else {}}
    named = {"delete": [thing], "job_ids": [thing], "prompt_id": thing, "hash": thing, "id": thing, "clear": True}
    return path, {"json": named}


def plain(answer: Any, thing: str) -> tuple[int, str]:  # noqa: ANN401 - an httpx response
    """Return what an answer says, without what names the request and what it asked for."""
    text = answer.text.replace(thing, "THING").replace(answer.headers["x-request-id"], "REQUEST")
    return answer.status_code, text


ASKED = [
    route for route in ROUTES if not (route.lasting and "{" not in route.path) and route.access is not Access.PUBLIC
]


async def state(gate: Gate, things: dict[str, str]) -> list[tuple[int, str]]:
    """Return all that alice sees of her things."""
    kinds = {"jobs": ("done", "waiting"), "assets": ("output", "upload")}
    paths = [f"/api/v2/{kind}/{things[name]}" for kind, names in kinds.items() for name in names]
    paths += [f"/history/{things['done']}", f"/api/v2/assets/by-hash/{things['hash']}"]
    return [plain(await gate.alice.get(path), "-") for path in paths]


async def test_another_users_things_are_as_absent_and_stay_as_they_are(gate: Gate) -> None:
    things = await furnish(gate)
    before = await state(gate, things)
    assert [status for status, _ in before] == [200] * 6
    for route in ASKED:
        for thing in things.values():
            missing = f"blake3:{'0' * 64}" if thing.startswith("blake3:") else ABSENT
            where, rest = request_for(route, thing)
            answer = await gate.bob.request(route.method, where, **rest)
            where, rest = request_for(route, missing)
            absent = await gate.bob.request(route.method, where, **rest)
            told = answer.text.replace(thing, "")
            assert CANARY not in told, where
            assert not [other for other in things.values() if other in told], where
            if route.access is not Scope.MONITOR:
                assert plain(answer, thing) == plain(absent, missing), (route.method, where)
    assert await state(gate, things) == before


async def test_an_admin_finds_all_of_them(gate: Gate) -> None:
    things = await furnish(gate)
    for path in (f"jobs/{things['done']}", f"jobs/{things['waiting']}", f"assets/{things['output']}"):
        assert (await gate.admin.get(f"/api/v2/{path}")).status_code == 200
