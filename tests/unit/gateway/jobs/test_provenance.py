"""Files outside a job's own folder belong to the job only if the job wrote them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from provisioning.gateway.assets.store.paths import StoredCopy, store_path_of
from provisioning.gateway.jobs import provenance
from provisioning.gateway.upstream.stored_file import StoredFile
from tests.unit.gateway.conftest import Gate, finish, submit, taken, until, workflow
from tests.unit.gateway.fake import PNG, START_MS
from tests.unit.gateway.file_references import named

START = START_MS / 1000


@pytest.fixture
def overrides(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    return {"files": tmp_path / "files"} if hasattr(request, "param") else {}


PREVIEW, ECHO = "2", "3"
GRAPH = workflow() | {
    PREVIEW: {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    # This node outputs its inputs unchanged; another node can compute inputs that a caller could not send.
    ECHO: {"class_type": "Preview3D", "inputs": {"model_file": "x", "camera_info": ["1", 0]}},
}
TEMPORARY = named("ComfyUI_temp_abcde_00001_.png", kind="temp")


def put(gate: Gate, file: dict[str, str], at: float = START - 60) -> dict[str, str]:
    """Put a file into ComfyUI's folders."""
    place = (file["type"], file["subfolder"], file["filename"])
    gate.comfy.files[place] = (PNG, "image/png")
    gate.comfy.written[place] = at
    return file


async def ran(gate: Gate, client: httpx.AsyncClient, node: str, *files: dict[str, str]) -> list[str]:
    """Run a job with a node that names files; return the names of the outputs except the saved one."""
    gate.comfy.echoed = {node: {"result": ["x", list(files), None]}}
    job = await submit(client, prompt=GRAPH)
    await finish(gate, job)
    outputs = (await client.get(f"/api/v2/jobs/{job}")).json()["outputs"]
    return [output["name"] for output in outputs if output["node_id"] != "9"]


async def test_naming_an_existing_file_gives_no_access_to_it(gate: Gate) -> None:
    old, absent = put(gate, named("old.png")), [named(f"{number}.png") for number in range(20)]
    assert await ran(gate, gate.alice, ECHO, old, *absent) == []
    assert (await gate.alice.get("/view", params=old)).status_code == 404
    assert gate.rows("SELECT quantity FROM usage_events WHERE kind = 'images'") == [(1,)], "it is not counted"


@pytest.mark.parametrize(("node", "at", "kept"), [(PREVIEW, -60, True), (ECHO, 0, True), (ECHO, -1, False)])
async def test_a_file_belongs_to_a_job_by_its_node_or_its_time(gate: Gate, node: str, at: int, kept: bool) -> None:
    names = [TEMPORARY["filename"]] if kept else []
    assert await ran(gate, gate.alice, node, put(gate, TEMPORARY, START + at)) == names
    assert (await gate.alice.get("/view", params=TEMPORARY)).status_code == (200 if kept else 404)
    assert (await gate.bob.get("/view", params=TEMPORARY)).status_code == 404
    assert await ran(gate, gate.alice, ECHO, put(gate, TEMPORARY)) == names, "ComfyUI shows what it has in its cache"


@pytest.mark.parametrize(("at", "kept"), [(-60, False), (0, False), (1, True)])
async def test_another_users_file_is_accessible_only_after_it_was_rewritten(gate: Gate, at: int, kept: bool) -> None:
    names = [TEMPORARY["filename"]]
    assert await ran(gate, gate.bob, PREVIEW, put(gate, TEMPORARY)) == names
    gate.clock.advance(60)
    for socket in list(gate.comfy.sockets.values()):
        # A lost connection is not a restart: ComfyUI still has its files.
        await socket.close()
    await until(lambda: gate.comfy.sockets and gate.app.services.comfyui_listener.connected)
    assert await ran(gate, gate.alice, ECHO, put(gate, TEMPORARY, START + at)) == (names if kept else [])


@pytest.mark.parametrize(("at", "kept"), [(0.047, False), (0.948, False), (1.5, True)])
async def test_anothers_file_of_the_second_in_which_the_job_started_is_not_its_own(
    gate: Gate, at: float, kept: bool
) -> None:
    """ComfyUI rounds the time of a file up to the next second, which may be after the start."""
    names = [TEMPORARY["filename"]]
    assert await ran(gate, gate.bob, PREVIEW, put(gate, TEMPORARY)) == names
    gate.comfy.start_ms = START_MS + 948
    assert await ran(gate, gate.alice, ECHO, put(gate, TEMPORARY, START + at)) == (names if kept else [])


async def test_a_cached_preview_is_shown_to_both_users(gate: Gate) -> None:
    for client in (gate.bob, gate.alice):
        assert await ran(gate, client, PREVIEW, put(gate, TEMPORARY)) == [TEMPORARY["filename"]]


async def test_an_admins_job_owns_its_files_in_the_shared_folder(gate: Gate) -> None:
    saved, old = put(gate, named("ComfyUI_00002_.png")), put(gate, named("old.png"))
    assert await ran(gate, gate.admin, "9", saved) == []
    assert await ran(gate, gate.admin, ECHO, old, named("u"), named("u", kind="input")) == []
    assert ("ComfyUI_00002_.png",) in gate.rows("SELECT filename FROM assets"), "it is an output of the saving node"


async def test_requests_for_file_times_are_limited(gate: Gate) -> None:
    new = [put(gate, named(f"new{number}.png"), START) for number in range(provenance.MAX_ASKED + 5)]
    assert len(await ran(gate, gate.alice, ECHO, *new)) == provenance.MAX_ASKED


async def test_a_running_job_shows_only_its_own_files(gate: Gate) -> None:
    old, new = put(gate, named("old.png")), put(gate, named("new.png"), START)
    job = await submit(gate.alice, prompt=GRAPH)
    await taken(gate, job)
    await gate.comfy.begin(job)
    for file in (old, new):
        await gate.comfy.made(job, ECHO, file, PNG)
    live = gate.app.services.tracker.get(job)
    await until(lambda: live is not None and len(live.shown) == 2)
    assert (await gate.alice.get("/view", params=new)).status_code == 200
    assert (await gate.alice.get("/view", params=old)).status_code == 404


@pytest.mark.parametrize(("seconds", "kept"), [(10, False), (0, False), (-10, True)])
async def test_naming_a_restored_file_gives_no_access_to_it(gate: Gate, seconds: int, kept: bool) -> None:
    """The restored copy is as new as a file that the job wrote."""
    theirs = named("theirs_00001_.png")

    def put_at(file: StoredFile) -> int:
        return round((START + 5 + seconds) * 1000) if file.filename == theirs["filename"] else 0

    tracker = gate.app.services.tracker
    tracker.files = replace(tracker.files, put_at=put_at)
    names = [theirs["filename"]] if kept else []
    assert await ran(gate, gate.alice, ECHO, put(gate, theirs, START + 5)) == names


@pytest.mark.parametrize("overrides", [{"files": True}], indirect=True)
async def test_the_time_of_a_restore_is_recorded(gate: Gate) -> None:
    file = StoredFile("input", "", "a.png")
    await gate.admin.post("/upload/image", files={"image": ("a.png", PNG)})
    staging = gate.app.services.staging
    assert staging.put_at(file) == 0, "an upload is not a restored file"
    staging.mark_missing(file)
    await staging.stage([StoredCopy(file, store_path_of(file))])
    assert staging.put_at(file) == gate.clock.now_ms()
