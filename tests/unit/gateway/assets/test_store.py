"""What clients were told is kept, and ComfyUI's folders are lost: a stop of the pod empties the container's disk."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest

from provisioning.gateway.assets.repository import Asset
from provisioning.gateway.assets.store.paths import StorePath
from provisioning.gateway.assets.store.store import DRAFTS
from tests.unit.gateway.conftest import Gate, finish, opened, submit, until, workflow
from tests.unit.gateway.fake import PNG, png
from tests.unit.gateway.file_references import reference

OTHER = png(2, 3)


@pytest.fixture
def overrides(tmp_path: Path) -> dict[str, Any]:
    return {"files": tmp_path / "volume" / "files"}


async def restart(gate: Gate) -> None:
    """Have ComfyUI come up on an empty disk, and the gateway know."""
    feed = gate.app.services.event_stream
    await gate.comfy.restart()
    await until(lambda: not feed.connected)
    await until(lambda: feed.connected)


def stored(gate: Gate) -> list[str]:
    assert gate.settings.files is not None
    paths = [path for path in gate.settings.files.rglob("*") if path.is_file()]
    return sorted(path.relative_to(gate.settings.files).as_posix() for path in paths)


async def made(gate: Gate, client: httpx.AsyncClient | None = None) -> dict[str, Any]:
    """Run a job and return its document."""
    client = client or gate.alice
    job = await submit(client)
    await finish(gate, job)
    return dict((await client.get(f"/api/v2/jobs/{job}")).json())


async def output_of(gate: Gate, job: str) -> dict[str, str]:
    entry = (await gate.alice.get(f"/history/{job}")).json()[job]
    return dict(entry["outputs"]["9"]["images"][0])


async def test_outputs_are_there_after_a_stop(gate: Gate) -> None:
    job = await made(gate)
    await restart(gate)
    [output] = job["outputs"]
    assert output["size_bytes"] == len(PNG)
    file = await output_of(gate, job["id"])
    seen = len(gate.comfy.seen)
    for answer in (await gate.alice.get("/view", params=file), await gate.alice.get(output["url"])):
        assert (answer.status_code, answer.content) == (200, PNG)
        assert answer.headers["content-type"] == "image/png"
    assert len(gate.comfy.seen) == seen, "nobody asked ComfyUI"
    assert (await gate.bob.get("/view", params=file)).status_code == 404
    assert (await gate.bob.get(output["url"])).status_code == 404


async def test_parts_of_an_output_as_before(gate: Gate) -> None:
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
async def test_types_are_comfyuis_and_nothing_runs_in_a_browser(
    gate: Gate, name: str, kind: str, attached: bool
) -> None:
    assert gate.settings.files is not None
    (gate.settings.files / "output").mkdir()
    (gate.settings.files / "output" / name).write_bytes(b"<script>")
    answer = await gate.admin.get("/view", params={"filename": name})
    assert (answer.content, answer.headers["content-type"]) == (b"<script>", kind)
    assert (answer.headers.get("content-disposition") == "attachment") is attached
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_uploads_are_there_after_a_stop(gate: Gate) -> None:
    gate.comfy.strict = True
    await gate.alice.post("/upload/image", files={"image": ("a.png", PNG)}, data={"subfolder": "faces"})
    files, data = {"file": ("b.png", OTHER)}, {"file_path": "b.png"}
    asset = (await gate.alice.post("/api/v2/assets", files=files, data=data)).json()
    await restart(gate)
    found = await gate.alice.get("/view", params={"filename": "a.png", "subfolder": "faces", "type": "input"})
    assert (found.status_code, found.content) == (200, PNG)
    assert (await gate.alice.get(f"/api/v2/assets/{asset['id']}/content")).content == OTHER
    assert (await gate.bob.get("/view", params={"filename": "a.png", "subfolder": "faces", "type": "input"})).is_error
    await finish(gate, await submit(gate.alice, prompt=workflow(image="faces/a.png")))
    prompt = {"1": {"class_type": "LoadImage", "inputs": {"image": reference(asset["id"])}}}
    await submit(gate.alice, prompt=prompt)
    names = {name for folder, _, name in gate.comfy.files if folder == "input"}
    assert names == {"a.png", "b.png"}, "both were put back"


async def test_a_file_is_put_back_once(gate: Gate) -> None:
    await gate.alice.post("/upload/image", files={"image": ("a.png", PNG)})
    await restart(gate)
    for _ in range(3):
        await finish(gate, await submit(gate.alice, prompt=workflow(image="a.png")))
    assert len(gate.comfy.asked("POST", "/upload/image")) == 2


async def test_comfyui_that_lost_a_file_gets_it_again(gate: Gate) -> None:
    gate.comfy.strict = True
    await gate.alice.post("/upload/image", files={"image": ("a.png", PNG)})
    gate.comfy.files.clear()
    await submit(gate.alice, prompt=workflow(image="a.png"))


async def test_an_output_is_what_a_later_workflow_loads(gate: Gate) -> None:
    gate.comfy.strict = True
    job = await made(gate)
    await made(gate, gate.admin)
    await restart(gate)
    prompt = {"1": {"class_type": "LoadImage", "inputs": {"image": reference(job["outputs"][0]["id"])}}}
    await submit(gate.alice, prompt=prompt)
    await submit(gate.admin, prompt=workflow(image="ComfyUI_00001_.png [output]"))


async def test_a_preview_is_made_of_a_file_that_is_put_back(gate: Gate) -> None:
    job = await made(gate)
    file = await output_of(gate, job["id"])
    await restart(gate)
    answer = await gate.alice.get("/view", params=file | {"preview": "webp;90"})
    assert (answer.status_code, answer.content) == (200, PNG)
    assert gate.comfy.asked("GET", "/view")[-1].query["preview"] == "webp;90"


async def test_comfyui_counts_on(gate: Gate) -> None:
    """In an empty folder it would begin with 1, and the new picture would take the old one's place."""
    assert gate.settings.files is not None
    folder = gate.settings.files / "output" / "sets"
    folder.mkdir(parents=True)
    for name in ("a_00001_.png", "a_00012_.png", "a_00009_.png", "b_00003_.png", "other.txt"):
        (folder / name).write_bytes(name.encode())
    await submit(gate.admin, prompt=workflow("sets/a"))
    placed = {name for _, subfolder, name in gate.comfy.files if subfolder == "sets"}
    assert placed == {"a_00012_.png", "b_00003_.png"}


async def test_the_editor_offers_what_was_uploaded(gate: Gate) -> None:
    """By names alone: a picture goes to ComfyUI when a workflow names it, or is shown from the store."""
    for name in ("a.png", "b.png"):
        await gate.admin.post("/upload/image", files={"image": (name, PNG)})
    await gate.alice.post("/upload/image", files={"image": ("hers.png", PNG)})
    await restart(gate)
    gate.comfy.files["input", "", "b.png"] = (OTHER, "image/png")
    for client in (gate.alice, gate.admin, gate.admin):
        await client.get("/object_info")
    kept = {name: content for (_, _, name), (content, _) in gate.comfy.files.items()}
    assert kept == {"a.png": b"", "b.png": OTHER}, "what ComfyUI has is not touched"
    assert (await gate.admin.get("/view", params={"filename": "a.png", "type": "input"})).content == PNG
    await submit(gate.admin, prompt=workflow(image="a.png"))
    assert gate.comfy.files["input", "", "a.png"][0] == PNG


async def test_a_name_that_is_taken_stays_taken(gate: Gate) -> None:
    await gate.alice.post("/upload/image", files={"image": ("a.png", PNG)})
    await restart(gate)
    answers = [
        (await gate.alice.post("/upload/image", files={"image": ("a.png", content)})).json()["name"]
        for content in (OTHER, PNG, png(4, 4))
    ]
    assert answers == ["a (1).png", "a.png", "a (2).png"]
    await restart(gate)
    await gate.alice.post("/upload/image", files={"image": ("a.png", png(5, 5))}, data={"overwrite": "true"})
    contents = [
        (await gate.alice.get("/view", params={"filename": name, "type": "input"})).content
        for name in ("a.png", "a (1).png", "a (2).png")
    ]
    assert contents == [png(5, 5), OTHER, png(4, 4)]


async def test_a_mask_is_kept_as_comfyui_made_it(gate: Gate) -> None:
    await gate.alice.post("/upload/image", files={"image": ("a.png", PNG)})
    await restart(gate)
    data = {"original_ref": '{"filename": "a.png", "type": "input"}', "overwrite": "true"}
    answer = await gate.alice.post("/upload/mask", files={"image": ("m.png", OTHER)}, data=data)
    assert answer.json()["name"] == "m.png"
    await restart(gate)
    shown = await gate.alice.get("/view", params={"filename": "m.png", "type": "input"})
    assert shown.content == PNG + b"masked by " + OTHER


async def test_a_mask_for_a_picture_that_is_gone_is_refused(gate: Gate) -> None:
    data = {"original_ref": '{"filename": "absent.png", "type": "input"}'}
    answer = await gate.alice.post("/upload/mask", files={"image": ("m.png", OTHER)}, data=data)
    assert answer.status_code == 404


async def test_temporary_results_of_equal_names_are_two_files(gate: Gate) -> None:
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


async def test_a_file_that_a_node_only_says_it_made_is_no_output(gate: Gate) -> None:
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


async def test_bytes_that_are_gone_are_uploaded_anew(gate: Gate) -> None:
    """As in an environment whose uploads were never on the volume."""
    files, data = {"file": ("b.png", OTHER)}, {"file_path": "b.png"}
    first = (await gate.alice.post("/api/v2/assets", files=files, data=data)).json()
    assert gate.settings.files is not None
    next(gate.settings.files.rglob("b.png")).unlink()
    await restart(gate)
    assert (await gate.alice.head(f"/api/v2/assets/hash/{first['hash']}")).status_code == 404
    again = (await gate.alice.post("/api/v2/assets", files=files, data=data)).json()
    assert (again["id"] != first["id"], again["created_new"]) == (True, True)
    assert (await gate.alice.get(f"/api/v2/assets/{again['id']}/content")).content == OTHER


async def shown_once_ended(gate: Gate, job: str) -> dict[str, Any]:
    """Ask for a job until it has ended, and return its document: a request waits for the end for a limited time."""
    shown: dict[str, Any] = {}

    async def has_ended() -> bool:
        shown.update((await gate.alice.get(f"/api/v2/jobs/{job}")).json())
        return shown["completed_at"] is not None

    await until(has_ended)
    return shown


def failing(monkeypatch: pytest.MonkeyPatch, code: int, times: int = 10**9) -> list[int]:
    """Have writes to the store fail for a while; returns what is left."""
    left, write = [times], os.write

    def fail(descriptor: int, data: memoryview) -> int:
        if left[0] > 0:
            left[0] -= 1
            raise OSError(code, os.strerror(code))
        return write(descriptor, data)

    monkeypatch.setattr("provisioning.gateway.assets.store.writer.os.write", fail)
    return left


@pytest.mark.parametrize(
    ("code", "status", "word"),
    [(errno.EDQUOT, 507, "storage_full"), (errno.ENOSPC, 507, "storage_full"), (errno.EIO, 503, "store_unavailable")],
)
async def test_a_volume_that_takes_nothing_takes_no_upload(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, code: int, status: int, word: str
) -> None:
    await gate.alice.post("/upload/image", files={"image": ("a.png", PNG)})
    failing(monkeypatch, code)
    data = {"overwrite": "true"}
    for answer in (
        await gate.alice.post("/upload/image", files={"image": ("a.png", OTHER)}, data=data),
        await gate.alice.post("/api/v2/assets", files={"file": ("b.png", OTHER)}, data={"file_path": "b.png"}),
        await gate.admin.post("/userdata/x.json", content=b"{}"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (status, word)
        assert int(answer.headers["retry-after"]) >= 1
    monkeypatch.undo()
    assert [name.rpartition("/")[2] for name in stored(gate)] == ["a.png"]
    assert gate.rows("SELECT count(*) FROM assets") == [(1,)]
    await submit(gate.alice, prompt=workflow(image="a.png"))
    assert [content for content, _ in gate.comfy.files.values()].count(PNG) == 1, "what was answered counts"


@pytest.mark.parametrize("internal", [{"upload_retry_seconds": 60}])
async def test_an_upload_outlasts_a_few_errors_of_the_volume(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    for size, fields in ((4, {}), (5, {"original_ref": '{"filename": "4.png", "type": "input"}'})):
        failing(monkeypatch, errno.EIO, 3)
        files = {"image": (f"{size}.png", png(size, 1))}
        path = "/upload/mask" if fields else "/upload/image"
        assert (await gate.alice.post(path, files=files, data=fields)).status_code == 200
        monkeypatch.undo()
        shown = await gate.alice.get("/view", params={"filename": f"{size}.png", "type": "input"})
        assert shown.content.endswith(png(size, 1))


async def test_reading_outlasts_a_few_errors_of_the_volume(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    await gate.alice.post("/upload/image", files={"image": ("a.png", PNG)})
    left, pread = [0], os.pread

    def fail(descriptor: int, length: int, start: int) -> bytes:
        if left[0] > 0:
            left[0] -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return pread(descriptor, length, start)

    monkeypatch.setattr("provisioning.gateway.assets.store.content.os.pread", fail)
    for times, status in ((2, 200), (10**9, 503)):
        left[0] = times
        answer = await gate.alice.get("/view", params={"filename": "a.png", "type": "input"})
        assert answer.status_code == status


async def test_a_full_volume_ends_a_job_with_what_is_to_be_done(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, errno.EDQUOT)
    job = await made(gate)
    assert (job["status"], job["outputs"], job["error"]["code"]) == ("failed", [], "storage_full")
    assert "volume is full" in job["error"]["message"]
    assert "larger volume" in job["error"]["message"]
    entry = (await gate.alice.get(f"/history/{job['id']}")).json()[job["id"]]
    assert (entry["outputs"], entry["status"]["status_str"], entry["status"]["completed"]) == ({}, "error", False)
    assert "volume is full" in entry["status"]["messages"][-1][1]["exception_message"]
    assert job["metrics"]["execution_ms"] == 1500, "what it took was taken"


async def test_errors_of_the_volume_are_tried_again(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    left = failing(monkeypatch, errno.EIO)
    job = await submit(gate.alice)
    await until(lambda: gate.comfy.pending)
    await gate.comfy.begin(job)
    await gate.comfy.end(job)
    assert (await gate.alice.get(f"/api/v2/jobs/{job}")).json()["status"] == "running", "not before it is kept"
    left[0] = 2
    shown = await shown_once_ended(gate, job)
    assert shown["status"] == "succeeded"
    assert (await gate.alice.get(shown["outputs"][0]["url"])).content == PNG


async def test_a_volume_that_never_heals_ends_the_job(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, errno.EIO)
    job = await submit(gate.alice)
    await until(lambda: gate.comfy.pending)
    await gate.comfy.begin(job)
    await gate.comfy.end(job)
    assert (await gate.alice.get(f"/api/v2/jobs/{job}")).json()["status"] == "running"
    gate.clock.advance(601)
    shown = await shown_once_ended(gate, job)
    assert (shown["status"], shown["error"]["code"]) == ("failed", "result_not_kept")


@pytest.mark.parametrize("internal", [{"file_stall_seconds": 3.0}])
async def test_a_volume_that_stalls_keeps_nobody_for_ever(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    stalled, fsync = threading.Event(), os.fsync

    def stall(descriptor: int) -> None:
        stalled.wait(90)
        fsync(descriptor)

    monkeypatch.setattr("provisioning.gateway.assets.store.writer.os.fsync", stall)
    answer = await gate.alice.post("/upload/image", files={"image": ("a.png", PNG)})
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    stalled.set()
    await until(lambda: stored(gate) == [], seconds=60)
    await gate.alice.post("/upload/image", files={"image": ("a.png", OTHER)})
    assert len(stored(gate)) == 1
    stalled.clear()
    await gate.alice.post("/upload/image", files={"image": ("a.png", OTHER)})
    began = time.monotonic()
    await gate.app.stop()
    assert time.monotonic() - began < 60, "the end does not wait for the volume"
    stalled.set()


async def test_a_kill_between_store_and_answer(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next process finds the job's end at ComfyUI, keeps its files again and tells it once."""

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
        await until(lambda: app.services.event_stream.connected)
        await app.services.tracker.reconcile()
        assert await ledger.in_flight() == []
        [asset] = await app.services.assets.of_job(job)
        assert asset.size_bytes == len(PNG)
    assert len(stored(gate)) == 1


async def test_what_the_editor_keeps_is_there_after_a_stop(gate: Gate) -> None:
    admin = gate.admin
    await admin.post("/userdata/workflows%2Fa.json", content=b'{"a": 1}')
    await admin.post("/userdata/workflows%2Fb.json", content=b'{"b": 1}')
    await admin.post("/userdata/workflows%2Fb.json/move/workflows%2Fc.json")
    await admin.post("/userdata/gone.json", content=b"{}")
    await admin.delete("/userdata/gone.json")
    await admin.post("/settings", json={"Comfy.Locale": "de"})
    before = dict(gate.comfy.userdata)
    assert len(before) == 3
    await restart(gate)
    assert gate.comfy.userdata == {}
    assert (await admin.get("/settings")).json() == {"Comfy.Locale": "de"}
    assert (await admin.get("/userdata/workflows%2Fc.json")).content == b'{"b": 1}'
    assert gate.comfy.userdata == before


@pytest.mark.parametrize("overrides", [{}])
async def test_without_a_store_everything_stays_in_comfyuis_folders(gate: Gate) -> None:
    assert gate.app.services.files is None
    job = await made(gate)
    assert (await gate.alice.get(job["outputs"][0]["url"])).content == PNG
    await restart(gate)
    assert (await gate.alice.get(job["outputs"][0]["url"])).status_code == 404


async def overwrite(gate: Gate) -> httpx.Response:
    return await gate.alice.post("/upload/image", files={"image": ("a.png", OTHER)}, data={"overwrite": "true"})


async def old_upload(gate: Gate) -> int:
    """Upload a file whose time is over; returns before when."""
    assert (await gate.alice.post("/upload/image", files={"image": ("a.png", PNG)})).status_code == 200
    gate.clock.advance(86_400)
    return gate.clock.now_ms()


async def keeps_the_new(gate: Gate) -> None:
    [name] = stored(gate)
    assert gate.settings.files is not None
    assert (gate.settings.files / name).read_bytes() == OTHER
    assert len(gate.rows("SELECT 1 FROM assets")) == 1


async def test_a_file_that_is_uploaded_anew_while_the_old_one_expires_stays(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new one is in its place, and its row is not written yet."""
    before, services = await old_upload(gate), gate.app.services
    add, begun, may_go_on = services.assets.add, asyncio.Event(), asyncio.Event()

    async def late(asset: Asset) -> None:
        begun.set()
        await may_go_on.wait()
        await add(asset)

    monkeypatch.setattr(services.assets, "add", late)
    uploading = asyncio.create_task(overwrite(gate))
    await begun.wait()
    expiring = asyncio.create_task(services.expiry.run(before))
    await asyncio.sleep(0.3)
    may_go_on.set()
    assert (await uploading).status_code == 200
    assert await expiring == 1
    await keeps_the_new(gate)


async def test_an_upload_waits_while_the_file_before_it_is_being_deleted(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, services = await old_upload(gate), gate.app.services
    assert services.files is not None
    delete, begun, may_go_on = services.files.delete, asyncio.Event(), asyncio.Event()

    async def late(places: Iterable[StorePath]) -> None:
        begun.set()
        await may_go_on.wait()
        await delete(places)

    monkeypatch.setattr(services.files, "delete", late)
    expiring = asyncio.create_task(services.expiry.run(before))
    await begun.wait()
    uploading = asyncio.create_task(overwrite(gate))
    await asyncio.sleep(0.3)
    may_go_on.set()
    assert await expiring == 1
    assert (await uploading).status_code == 200
    await keeps_the_new(gate)
