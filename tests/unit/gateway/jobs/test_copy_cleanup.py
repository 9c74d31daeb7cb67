"""Copies of stored files are emptied when the container disk runs low."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.unit.gateway.conftest import Gate, finish, submit, until, workflow
from tests.unit.gateway.fake import PNG

ROOM = 10**12


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the simulated free space, which the test changes."""
    free = [ROOM]

    def told(_: object) -> os.statvfs_result:
        return os.statvfs_result((1, 1, ROOM, free[0], free[0], 1, 1, 1, 0, 255))

    monkeypatch.setattr("os.statvfs", told)
    return free


@pytest.fixture
def overrides(tmp_path: Path) -> dict[str, Any]:
    return {"files": tmp_path / "files", "requests": tmp_path}


async def test_copies_are_emptied_and_restored_on_demand(gate: Gate, free: list[int]) -> None:
    copy_cleanup, files = gate.app.services.copy_cleanup, gate.comfy.files
    gate.comfy.strict = True
    for name in ("a.png", "b.png"):
        await gate.alice.post("/upload/image", files={"image": (name, PNG)})
    job = await submit(gate.alice)
    await finish(gate, job)
    await submit(gate.alice, prompt=workflow(image="b.png"))
    assert (await copy_cleanup.look(), len(files)) == (0, 3), "enough space is free"
    free[0] = 1000
    assert (await copy_cleanup.look(), len(files)) == (2, 3), (
        "the names stay, and what an unfinished job reads is whole"
    )
    left = {name: content for (_, _, name), (content, _) in files.items()}
    assert left == {"a.png": b"", "b.png": PNG, "ComfyUI_00001_.png": b""}
    [shown] = (await gate.alice.get(f"/api/v2/jobs/{job}")).json()["outputs"]
    assert (await gate.alice.get(shown["url"])).content == PNG
    file = {"filename": "a.png", "type": "input"}
    assert (await gate.alice.get("/view", params=file | {"preview": "webp"})).content == PNG, "it was restored"


async def test_cached_outputs_of_emptied_copies_are_complete(gate: Gate, free: list[int]) -> None:
    """A repeated workflow names its cached outputs, whose copies have been emptied."""
    shown: dict[str, list[bytes]] = {}
    for kind in ("output", "temp"):
        jobs = []
        for _ in range(2):
            jobs.append(await submit(gate.admin))
            await until(lambda: gate.comfy.pending)
            await gate.comfy.begin(jobs[-1])
            # The second run writes no file.
            made = (kind, "x_00001_.png", PNG) if len(jobs) == 1 else (kind, "x_00001_.png", None)
            await gate.comfy.end(jobs[-1], made=made)
            await until(lambda: not gate.app.services.tracker.of_owner(None))
            free[0] = 1000
            await gate.app.services.copy_cleanup.look()
            free[0] = ROOM
            assert gate.comfy.files[kind, "", "x_00001_.png"][0] == b""
        documents = [(await gate.admin.get(f"/api/v2/jobs/{job}")).json() for job in jobs]
        urls = [output["url"] for document in documents for output in document["outputs"]]
        shown[kind] = [(await gate.admin.get(url)).content for url in urls]
    assert shown == {"output": [PNG, PNG], "temp": [PNG, PNG]}


async def test_a_copy_that_the_store_lacks_is_never_emptied(gate: Gate, free: list[int]) -> None:
    await gate.alice.post("/upload/image", files={"image": ("a.png", PNG)})
    assert gate.settings.files is not None
    next(gate.settings.files.rglob("a.png")).unlink()
    free[0] = 1000
    assert await gate.app.services.copy_cleanup.look() == 0
    assert [content for content, _ in gate.comfy.files.values()] == [PNG]
