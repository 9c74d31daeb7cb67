"""Errors of the volume that the store is on."""

from __future__ import annotations

import errno
import os
import threading
import time
from typing import Any

import pytest

from tests.unit.gateway.assets.store.stored_files import OTHER, made, stored
from tests.unit.gateway.conftest import Gate, submit, until, workflow
from tests.unit.gateway.fake import PNG, png


async def shown_once_ended(gate: Gate, job: str) -> dict[str, Any]:
    """Poll a job until it has ended and return its document: each request waits for a limited time."""
    shown: dict[str, Any] = {}

    async def has_ended() -> bool:
        shown.update((await gate.alice.get(f"/api/v2/jobs/{job}")).json())
        return shown["completed_at"] is not None

    await until(has_ended)
    return shown


def failing(monkeypatch: pytest.MonkeyPatch, code: int, times: int = 10**9) -> list[int]:
    """Make writes to the store fail; returns the counter of remaining failures."""
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
async def test_an_upload_fails_on_an_unwritable_volume(
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
    assert [content for content, _ in gate.comfy.files.values()].count(PNG) == 1, "the acknowledged content is valid"


@pytest.mark.parametrize("internal", [{"upload_retry_seconds": 60}])
async def test_an_upload_survives_transient_volume_errors(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    for size, fields in ((4, {}), (5, {"original_ref": '{"filename": "4.png", "type": "input"}'})):
        failing(monkeypatch, errno.EIO, 3)
        files = {"image": (f"{size}.png", png(size, 1))}
        path = "/upload/mask" if fields else "/upload/image"
        assert (await gate.alice.post(path, files=files, data=fields)).status_code == 200
        monkeypatch.undo()
        shown = await gate.alice.get("/view", params={"filename": f"{size}.png", "type": "input"})
        assert shown.content.endswith(png(size, 1))


async def test_a_read_survives_transient_volume_errors(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
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


async def test_a_full_volume_fails_the_job_with_a_remedy(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, errno.EDQUOT)
    job = await made(gate)
    assert (job["status"], job["outputs"], job["error"]["code"]) == ("failed", [], "storage_full")
    assert "volume is full" in job["error"]["message"]
    assert "larger volume" in job["error"]["message"]
    entry = (await gate.alice.get(f"/history/{job['id']}")).json()[job["id"]]
    assert (entry["outputs"], entry["status"]["status_str"], entry["status"]["completed"]) == ({}, "error", False)
    assert "volume is full" in entry["status"]["messages"][-1][1]["exception_message"]
    assert job["metrics"]["execution_ms"] == 1500, "the used GPU time is counted"


async def test_volume_errors_are_retried(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    left = failing(monkeypatch, errno.EIO)
    job = await submit(gate.alice)
    await until(lambda: gate.comfy.pending)
    await gate.comfy.begin(job)
    await gate.comfy.end(job)
    assert (await gate.alice.get(f"/api/v2/jobs/{job}")).json()["status"] == "running", (
        "it does not end before its files are stored"
    )
    left[0] = 2
    shown = await shown_once_ended(gate, job)
    assert shown["status"] == "succeeded"
    assert (await gate.alice.get(shown["outputs"][0]["url"])).content == PNG


async def test_persistent_volume_errors_fail_the_job(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
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
async def test_a_stalled_volume_times_out(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert time.monotonic() - began < 60, "the shutdown does not wait for the volume"
    stalled.set()
