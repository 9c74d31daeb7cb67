"""ComfyUI's routes: each is classified, and except for admins each shows only the caller's own data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from provisioning.gateway.core.http.operation import Access
from provisioning.gateway.core.http.routing import Match, OperationTable
from provisioning.gateway.core.problems import Problem
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.routes import OPERATIONS, SOCKETS
from tests.unit.gateway.conftest import Gate, finish, submit

OWN = frozenset({Scope.READ, Scope.JOBS, Scope.ASSETS})
ADMIN = frozenset({Scope.MONITOR, Scope.OPERATE, Scope.ADMIN})
ALL = frozenset({Access.ANY})
NEVER: frozenset[Scope] = frozenset()

COMFYUI: dict[frozenset[Scope] | frozenset[Access], str] = {
    # Filtered by owner, or rewritten.
    OWN: """
        GET /prompt | POST /prompt | GET /queue | POST /queue | POST /interrupt | GET /history | POST /history
        GET /history/x | GET /view | POST /upload/image | POST /upload/mask
        GET /object_info | GET /object_info/KSampler | GET /models | GET /models/loras | GET /embeddings
        GET /view_metadata/loras | GET /features | GET /extensions | GET /i18n | GET /workflow_templates
        GET /global_subgraphs | GET /global_subgraphs/x | GET /node_replacements
    """,
    ADMIN: """
        GET /experiment/models | GET /experiment/models/loras | POST /free
        GET /users | GET /settings | POST /settings | GET /settings/x | POST /settings/x
        GET /userdata | GET /userdata/x | POST /userdata/x | DELETE /userdata/x | POST /userdata/x/move/y
    """,
    # Reduced for callers without the scope `monitor`.
    ALL: "GET /system_stats",
    NEVER: """
        POST /users | GET /assets | POST /assets | GET /assets/x | PUT /assets/x | DELETE /assets/x | GET /tags
        GET /assets/x/content | POST /assets/x/tags | POST /assets/seed | POST /assets/prune | POST /assets/download
        POST /assets/from-hash | GET /tasks | POST /tasks/x | GET /internal/logs | GET /internal/logs/raw
        PATCH /internal/logs/subscribe | GET /internal/folder_paths | GET /internal/files/output
        GET /experiment/models/preview/loras/0/x | GET /customnode/getlist | POST /customnode/install
        GET /manager/reboot | GET /manager/queue/start | POST /manager/queue/install | GET /snapshot/save
        GET /extensions/x/y.js | GET /templates/x.json | GET /docs/KSampler/en.md | GET /
    """,
}
"""All routes of ComfyUI and of common custom nodes, by the access that they have here."""

ONCE = {
    "GET /api/jobs": OWN,
    "GET /api/jobs/x": OWN,
    "POST /api/jobs/x/cancel": OWN,
    "POST /api/jobs/cancel": OWN,
    "GET /workflow_templates/x/y.json": OWN,
    "GET /v2/userdata": ADMIN,
    # The Comfy API takes precedence over ComfyUI's own routes.
    "GET /api/v2/userdata": NEVER,
    "GET /api/api/jobs": NEVER,
}
"""Routes without an alias below /api, or whose alias is another route."""

OPERATION_TABLE = OperationTable(OPERATIONS)


def everything() -> Iterator[tuple[str, str, frozenset[Scope] | frozenset[Access]]]:
    for scopes, text in COMFYUI.items():
        for line in text.replace("|", "\n").split("\n"):
            method, _, path = line.strip().partition(" ")
            if method:
                yield from ((method, f"{prefix}{path}", scopes) for prefix in ("", "/api"))
    for name, scopes in ONCE.items():
        method, _, path = name.partition(" ")
        yield method, path, scopes


@pytest.mark.parametrize(("method", "path", "scopes"), list(everything()))
def test_every_route_of_comfyui_is_classified(
    method: str, path: str, scopes: frozenset[Scope] | frozenset[Access]
) -> None:
    found = OPERATION_TABLE.find(method, path)
    if not scopes:
        assert isinstance(found, Problem), "it is not reachable"
    else:
        assert isinstance(found, Match)
        assert found.operation.access in scopes


def test_every_native_route_is_classified() -> None:
    known = [OPERATION_TABLE.find(method, path) for method, path, scopes in everything() if scopes]
    classed = {id(match.operation) for match in known if isinstance(match, Match)}
    assert [route.path for route in OPERATIONS if route.native and id(route) not in classed] == ["/ws"]
    assert {"/ws", "/api/ws"} <= set(SOCKETS)


async def test_api_jobs_lists_only_the_callers_jobs(gate: Gate) -> None:
    first, second = await submit(gate.alice), await submit(gate.alice)
    strange = await submit(gate.bob)
    await finish(gate, first)
    answer = (await gate.alice.get("/api/jobs")).json()
    told = {job["id"]: job for job in answer["jobs"]}
    assert list(told) == [second, first]
    assert [job["status"] for job in told.values()] == ["pending", "completed"]
    assert answer["pagination"] == {"offset": 0, "limit": 1000, "total": 2, "has_more": False}
    preview = told[first]["preview_output"]
    assert (preview["nodeId"], preview["mediaType"], preview["type"]) == ("9", "images", "output")
    assert "u/" not in preview["subfolder"]
    shown = (await gate.alice.get(f"/api/jobs/{first}")).json()
    assert (shown["outputs_count"], shown["workflow"]["prompt"]["9"]["class_type"]) == (1, "SaveImage")
    assert shown["outputs"]["9"]["images"][0]["filename"] == preview["filename"]
    assert (await gate.alice.get(f"/api/jobs/{strange}")).status_code == 404
    assert len((await gate.admin.get("/api/jobs")).json()["jobs"]) == 3


async def test_api_jobs_is_paginated(gate: Gate) -> None:
    ids = [await submit(gate.alice) for _ in range(3)]
    await finish(gate, ids[0])
    page = (await gate.alice.get("/api/jobs", params={"limit": 1, "offset": 1, "sort_order": "asc"})).json()
    assert ([job["id"] for job in page["jobs"]], page["pagination"]["has_more"]) == ([ids[1]], True)
    done = (await gate.alice.get("/api/jobs", params={"status": "completed", "sort_by": "execution_duration"})).json()
    assert [job["id"] for job in done["jobs"]] == [ids[0]]


@pytest.mark.parametrize(
    "query",
    [{"status": "asleep"}, {"limit": "0"}, {"limit": "x"}, {"offset": "-1"}, {"sort_by": "x"}, {"sort_order": "x"}],
)
async def test_invalid_queries_for_jobs_are_refused(gate: Gate, query: dict[str, str]) -> None:
    assert (await gate.alice.get("/api/jobs", params=query)).status_code == 400


async def test_only_its_owner_can_cancel_a_job(gate: Gate) -> None:
    job, other = await submit(gate.alice), await submit(gate.alice)
    path = f"/api/jobs/{other}/cancel"
    assert (await gate.bob.post(path)).json() == {"cancelled": False}
    assert (await gate.alice.post(path)).json() == {"cancelled": True}
    assert (await gate.alice.post(path)).json() == {"cancelled": False}
    several = "/api/jobs/cancel"
    assert (await gate.bob.post(several, json={"job_ids": [job]})).json() == {"cancelled": False}
    assert (await gate.alice.post(several, json={"job_ids": [job, "x"]})).status_code == 400
    assert (await gate.alice.post(several, json={"job_ids": [job, other]})).json() == {"cancelled": True}
    assert {item["status"] for item in (await gate.alice.get("/api/jobs")).json()["jobs"]} == {"cancelled"}


async def test_an_admin_can_open_the_editors_files(gate: Gate) -> None:
    path = "/userdata/workflows%2Fa%20b.json"
    answer = await gate.admin.post(path, content=b"{}", headers={"comfy-user": "x"}, params={"overwrite": "false"})
    assert answer.status_code == 200
    [seen] = gate.comfy.asked("POST", "/userdata/workflows/a b.json")
    assert (seen.body, seen.query) == (b"{}", {"overwrite": "false"})
    assert not {"comfy-user", "authorization", "cookie"} & {name.lower() for name in seen.headers}
    assert (await gate.alice.get(path)).status_code == 403
    assert (await gate.client(None).get(path)).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/userdata/..%2Fsecrets.json",
        "/userdata/a%2F..%2F..%2Fb",
        "/userdata/%2Fetc%2Fpasswd",
        "/userdata/a%5Cb",
        "/userdata/a%252Fb",
        "/userdata/a%2Fb/move/..%2Fb",
        "/userdata?dir=../..",
        "/v2/userdata?path=/a/../..",
        "/settings/a%2Fb",
        "/models/a%2Fb",
    ],
)
async def test_paths_with_dot_segments_are_refused(gate: Gate, path: str) -> None:
    method = "POST" if "move" in path else "GET"
    answer = await gate.admin.request(method, path)
    assert answer.status_code == 400
    assert gate.comfy.seen == []


STATS: dict[str, Any] = {
    "system": {
        "os": "linux", "ram_total": 2, "ram_free": 1, "comfyui_version": "0.38.1", "python_version": "3.12.3",
        "pytorch_version": "2.8.0", "embedded_python": False, "argv": ["main.py", "--base-directory", "/srv/base"],
        "home": "/srv/base", "extra_paths": ["/srv/models"],
    },
    "devices": [
        {
            "name": "cuda:0 NVIDIA RTX 4090 /dev/nvidia/0 : native", "type": "cuda", "index": 0, "vram_total": 4,
            "vram_free": 3, "torch_vram_total": 2, "torch_vram_free": 1, "node": "/dev/nvidia0",
        }
    ],
    "folders": ["/srv/base"],
}  # fmt: skip


async def test_system_stats_hide_command_line_and_paths_from_clients(gate: Gate) -> None:
    gate.comfy.nonsense["/system_stats"] = ("application/json", orjson.dumps(STATS))
    for path in ("/system_stats", "/api/system_stats"):
        answer = await gate.alice.get(path)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert "/" not in answer.text.replace("<path>", ""), "no path"
        kept = {name: value for name, value in STATS["system"].items() if name not in {"home", "extra_paths"}}
        assert told["system"] == kept | {"argv": []}, "all that clients read"
        [device] = told["devices"]
        assert device.keys() == STATS["devices"][0].keys() - {"node"}
        assert device["name"] == "cuda:0 NVIDIA RTX 4090 <path> : native"
    watching = gate.client(await gate.store.create("prometheus", frozenset({Scope.MONITOR})))
    for client in (watching, gate.admin):
        assert (await client.get("/system_stats")).json() == STATS, "the scope `monitor` shows everything"


@pytest.mark.parametrize("stats", [[], {"system": [], "devices": {}}, {"devices": ["cuda:0", None]}, {"system": None}])
async def test_malformed_system_stats_are_not_forwarded(gate: Gate, stats: object) -> None:
    gate.comfy.nonsense["/system_stats"] = ("application/json", orjson.dumps(stats))
    told = (await gate.alice.get("/system_stats")).json()
    assert told["system"] == {"argv": []}
    assert all(device == {} for device in told["devices"])
