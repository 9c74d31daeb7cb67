"""Outputs are kept in the store when a stop of the pod empties ComfyUI's folders."""

from __future__ import annotations

import pytest

from provisioning.gateway.assets.store.store import DRAFTS
from tests.unit.gateway.assets.store.stored_files import OTHER, made, output_of, restart, stored
from tests.unit.gateway.conftest import Gate, opened, submit, until, workflow
from tests.unit.gateway.fake import PNG
from tests.unit.gateway.file_references import reference


async def test_outputs_survive_a_stop(gate: Gate) -> None:
    job = await made(gate)
    await restart(gate)
    [output] = job["outputs"]
    assert output["size_bytes"] == len(PNG)
    file = await output_of(gate, job["id"])
    seen = len(gate.comfy.seen)
    for answer in (await gate.alice.get("/view", params=file), await gate.alice.get(output["url"])):
        assert (answer.status_code, answer.content) == (200, PNG)
        assert answer.headers["content-type"] == "image/png"
    assert len(gate.comfy.seen) == seen, "ComfyUI got no request"
    assert (await gate.bob.get("/view", params=file)).status_code == 404
    assert (await gate.bob.get(output["url"])).status_code == 404


async def test_ranges_of_an_output(gate: Gate) -> None:
    url = (await made(gate))["outputs"][0]["url"]
    size, whole = len(PNG), await gate.alice.get(url)
    for asked, start, end in (
        ("0-9", 0, 10),
        ("10-", 10, size),
        ("-7", size - 7, size),
        ("0-0", 0, 1),
        ("5-999", 5, size),
    ):
        part = await gate.alice.get(url, headers={"Range": f"bytes={asked}"})
        assert (part.status_code, part.content) == (206, PNG[start:end])
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
    beyond = await gate.alice.get(url, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    tag = whole.headers["etag"]
    for headers, status in (
        ({"If-None-Match": tag}, 304),
        ({"If-None-Match": f'W/{tag}, "x"'}, 304),
        ({"If-None-Match": '"x"'}, 200),
        ({"If-Modified-Since": whole.headers["last-modified"]}, 304),
        ({"If-Range": tag, "Range": "bytes=0-1"}, 206),
        ({"If-Range": f"W/{tag}", "Range": "bytes=0-1"}, 200),
        ({"If-Range": whole.headers["last-modified"], "Range": "bytes=0-1"}, 206),
        ({"Range": "bytes=0-1,3-4"}, 200),
        ({"Range": "bytes=-"}, 200),
    ):
        assert (await gate.alice.get(url, headers=headers)).status_code == status, headers
    told = await gate.alice.head(url)
    assert (told.status_code, told.content, told.headers["content-length"]) == (200, b"", str(size))


@pytest.mark.parametrize(
    ("name", "kind", "attached"),
    [
        ("x.webp", "image/webp", False),
        ("x.mp4", "video/mp4", False),
        ("x.svg", "application/octet-stream", True),
        ("x.html", "application/octet-stream", True),
        ("x", "application/octet-stream", True),
    ],
)
async def test_media_types_match_comfyui_and_are_passive(gate: Gate, name: str, kind: str, attached: bool) -> None:
    assert gate.settings.files is not None
    (gate.settings.files / "output").mkdir()
    (gate.settings.files / "output" / name).write_bytes(b"<script>")
    answer = await gate.admin.get("/view", params={"filename": name})
    assert (answer.content, answer.headers["content-type"]) == (b"<script>", kind)
    assert (answer.headers.get("content-disposition") == "attachment") is attached
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_later_workflow_can_load_an_output(gate: Gate) -> None:
    gate.comfy.strict = True
    job = await made(gate)
    await made(gate, gate.admin)
    await restart(gate)
    prompt = {"1": {"class_type": "LoadImage", "inputs": {"image": reference(job["outputs"][0]["id"])}}}
    await submit(gate.alice, prompt=prompt)
    await submit(gate.admin, prompt=workflow(image="ComfyUI_00001_.png [output]"))


async def test_a_preview_is_made_from_a_staged_file(gate: Gate) -> None:
    job = await made(gate)
    file = await output_of(gate, job["id"])
    await restart(gate)
    answer = await gate.alice.get("/view", params=file | {"preview": "webp;90"})
    assert (answer.status_code, answer.content) == (200, PNG)
    assert gate.comfy.asked("GET", "/view")[-1].query["preview"] == "webp;90"


async def test_comfyui_continues_its_numbering(gate: Gate) -> None:
    """In an empty folder ComfyUI would restart at 1, and the new image would replace the old one."""
    assert gate.settings.files is not None
    folder = gate.settings.files / "output" / "sets"
    folder.mkdir(parents=True)
    for name in ("a_00001_.png", "a_00012_.png", "a_00009_.png", "b_00003_.png", "other.txt"):
        (folder / name).write_bytes(name.encode())
    await submit(gate.admin, prompt=workflow("sets/a"))
    placed = {name for _, subfolder, name in gate.comfy.files if subfolder == "sets"}
    assert placed == {"a_00012_.png", "b_00003_.png"}


async def test_temporary_files_of_equal_names_are_separate(gate: Gate) -> None:
    jobs = []
    for client, content in ((gate.alice, PNG), (gate.bob, OTHER)):
        job = await submit(client)
        await until(lambda job=job: any(item[1] == job for item in gate.comfy.pending))  # type: ignore[misc]
        await gate.comfy.begin(job)
        await gate.comfy.end(job, made=("temp", "x_temp_abcde_00001_.png", content))
        await until(lambda job=job: gate.app.services.tracker.get(job) is None)  # type: ignore[misc]
        jobs.append(job)
        gate.clock.advance(60)
        await restart(gate)
    for client, content in ((gate.alice, PNG), (gate.bob, OTHER)):
        shown = await client.get("/view", params={"filename": "x_temp_abcde_00001_.png", "type": "temp"})
        assert shown.content == content


async def test_a_missing_file_named_by_a_node_is_not_an_output(gate: Gate) -> None:
    job = await submit(gate.alice)
    await until(lambda: gate.comfy.pending)
    await gate.comfy.begin(job)
    await gate.comfy.end(job, made=None)
    await until(lambda: gate.app.services.tracker.get(job) is None)
    shown = (await gate.alice.get(f"/api/v2/jobs/{job}")).json()
    assert (shown["status"], shown["outputs"]) == ("succeeded", [])


async def test_deleted_and_expired_files_leave_the_store(gate: Gate) -> None:
    files, data = {"file": ("b.png", OTHER)}, {"file_path": "b.png"}
    asset = (await gate.alice.post("/api/v2/assets", files=files, data=data)).json()
    await made(gate)
    store = gate.app.services.files
    assert store is not None
    assert (len(stored(gate)), store.count) == (2, len(OTHER) + len(PNG))
    await gate.alice.delete(f"/api/v2/assets/{asset['id']}")
    assert [name.partition("/")[0] for name in stored(gate)] == ["output"]
    await gate.app.services.expiry.run(gate.clock.now_ms() + 10_000)
    assert (stored(gate), store.count) == ([], 0)
    assert gate.settings.files is not None
    assert {path.name for path in gate.settings.files.rglob("*")} == {DRAFTS, "input", "output"}, "no empty folders"


async def test_a_kill_between_store_and_response_loses_no_file(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next process finds the job's end at ComfyUI, stores its files again and reports the end once."""

    async def killed(*_: object) -> bool:
        raise RuntimeError

    monkeypatch.setattr(gate.ledger, "finished", killed)
    job = await submit(gate.alice)
    await until(lambda: gate.comfy.pending)
    await gate.comfy.begin(job)
    await gate.comfy.end(job)
    await until(lambda: stored(gate))
    assert gate.rows("SELECT state FROM jobs") != [("completed",)]
    await gate.app.stop()
    gate.database.close()
    async with opened(gate.settings, gate.clock) as (app, _, _, ledger):
        await until(lambda: app.services.comfyui_listener.connected)
        await app.services.tracker.reconcile()
        assert await ledger.in_flight() == []
        [asset] = await app.services.assets.of_job(job)
        assert asset.size_bytes == len(PNG)
    assert len(stored(gate)) == 1


@pytest.mark.parametrize("overrides", [{}])
async def test_without_a_store_everything_stays_in_comfyuis_folders(gate: Gate) -> None:
    assert gate.app.services.files is None
    job = await made(gate)
    assert (await gate.alice.get(job["outputs"][0]["url"])).content == PNG
    await restart(gate)
    assert (await gate.alice.get(job["outputs"][0]["url"])).status_code == 404
