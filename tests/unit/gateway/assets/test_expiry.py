"""Deletion of files by their owner and by expiry: the row and the bytes."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from provisioning.gateway.core.time_units import DAY_MS
from provisioning.helper_requests import DELETION_SUFFIX
from tests.unit.gateway.conftest import Gate, finish, submit, until
from tests.unit.gateway.fake import PNG, png
from tests.unit.gateway.file_references import reference


@pytest.fixture
def overrides(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "requests").mkdir()
    return {"requests": tmp_path / "requests"}


def asked(gate: Gate) -> list[list[str]]:
    """Return the paths in the requests to the pod's helper."""
    assert gate.settings.requests is not None
    found = sorted(gate.settings.requests.glob(f"*{DELETION_SUFFIX}"))
    return [pair for path in found for pair in json.loads(path.read_bytes())]


async def upload(gate: Gate, path: str = "a.png", content: bytes = PNG) -> str:
    files, data = {"file": (path, content)}, {"file_path": path}
    return str((await gate.alice.post("/api/v2/assets", files=files, data=data)).json()["id"])


async def test_only_the_owner_can_delete_an_asset(gate: Gate) -> None:
    asset = await upload(gate)
    path = f"/api/v2/assets/{asset}"
    assert (await gate.bob.delete(path)).status_code == 404
    assert asked(gate) == []
    answer = await gate.alice.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    [[folder, name]] = asked(gate)
    assert (folder, name.endswith(f"/assets/{asset}/a.png")) == ("input", True)
    assert (await gate.alice.get(path)).status_code == 404
    assert (await gate.alice.delete(path)).status_code == 404


async def test_an_asset_in_use_by_an_unfinished_job_cannot_be_deleted(gate: Gate) -> None:
    asset = await upload(gate)
    job = await submit(gate.alice, prompt={"1": {"class_type": "LoadImage", "inputs": {"image": reference(asset)}}})
    answer = await gate.alice.delete(f"/api/v2/assets/{asset}")
    assert (answer.status_code, answer.json()["code"]) == (409, "state_conflict")
    await finish(gate, job)
    assert (await gate.alice.delete(f"/api/v2/assets/{asset}")).status_code == 204


async def test_bytes_shared_with_another_asset_are_kept(gate: Gate) -> None:
    first, second = await upload(gate, "a.png"), await upload(gate, "b.png")
    assert first != second
    await gate.alice.delete(f"/api/v2/assets/{first}")
    assert asked(gate) == []
    await gate.alice.delete(f"/api/v2/assets/{second}")
    assert len(asked(gate)) == 1


async def test_only_expired_files_and_rows_are_deleted(gate: Gate) -> None:
    job = await submit(gate.alice)
    await finish(gate, job)
    await gate.alice.post("/upload/image", files={"image": ("old.png", PNG)})
    gate.clock.advance(86_400 * 10)
    kept = await upload(gate, "new.png", png(2, 2))
    ended = await gate.app.services.expiry.run(gate.clock.now_ms() - DAY_MS)
    assert ended == 2
    folders = sorted((folder, name.rpartition("/")[2]) for folder, name in asked(gate))
    assert folders == [("input", "old.png"), ("output", "ComfyUI_00001_.png")]
    assert gate.rows("SELECT id FROM assets") == [(kept,)]
    assert await gate.app.services.expiry.run(gate.clock.now_ms() - DAY_MS) == 0


@pytest.mark.parametrize("internal", [{"prune_seconds": 0.01}])
async def test_outputs_are_deleted_at_their_announced_time(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway's periodic pruning deletes them."""
    job = await submit(gate.alice)
    gate.clock.advance(3600)
    await finish(gate, job)
    shown = (await gate.alice.get(f"/api/v2/jobs/{job}")).json()
    url, end = shown["outputs"][0]["url"], datetime.fromisoformat(shown["expires_at"]).timestamp()
    assert end == datetime.fromisoformat(shown["completed_at"]).timestamp() + gate.settings.retention_days * 86_400
    rounds: list[int] = []
    prune = gate.app.services.ledger.prune

    async def noted(before: int) -> None:
        await prune(before)
        rounds.append(before)

    monkeypatch.setattr(gate.app.services.ledger, "prune", noted)
    for moment, status in ((end - 1, 200), (end + 1, 404)):
        gate.clock.now = moment
        begun = len(rounds)
        await until(lambda begun=begun: len(rounds) > begun + 1)  # type: ignore[misc]
        assert (await gate.alice.get(url)).status_code == status
        workflow = await gate.alice.get(f"/api/v2/jobs/{job}/workflow")
        assert (workflow.status_code, len(asked(gate))) == (status, status // 404), "and the workflow with it"
    assert (await gate.alice.get(f"/api/v2/jobs/{job}")).json()["metrics"]["execution_ms"] == 1500, "the usage stays"


async def test_a_failed_deletion_is_repeated(gate: Gate, tmp_path: Path) -> None:
    kept = await upload(gate)
    folder = tmp_path / "requests"
    folder.rename(tmp_path / "away")
    answer = await gate.alice.delete(f"/api/v2/assets/{kept}")
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert await gate.app.services.expiry.run(gate.clock.now_ms() + 1) == 0
    assert (await gate.alice.get(f"/api/v2/assets/{kept}")).status_code == 200
    (tmp_path / "away").rename(folder)
    assert await gate.app.services.expiry.run(gate.clock.now_ms() + 1) == 1
    assert len(asked(gate)) == 1


@pytest.mark.parametrize("internal", [{"expiry_batch": 2}])
async def test_many_files_are_deleted_in_several_requests(gate: Gate) -> None:
    for size in range(1, 6):
        await upload(gate, f"{size}.png", png(size, 1))
    assert await gate.app.services.expiry.run(gate.clock.now_ms() + 1) == 5
    assert len(asked(gate)) == 5
