"""An upload and the expiry of the file that it replaces, at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import httpx
import pytest

from provisioning.gateway.assets.repository import Asset
from provisioning.gateway.assets.store.paths import StorePath
from tests.unit.gateway.assets.store.stored_files import OTHER, stored
from tests.unit.gateway.conftest import Gate
from tests.unit.gateway.fake import PNG


async def overwrite(gate: Gate) -> httpx.Response:
    return await gate.alice.post("/upload/image", files={"image": ("a.png", OTHER)}, data={"overwrite": "true"})


async def old_upload(gate: Gate) -> int:
    """Upload a file that has expired; returns the time limit."""
    assert (await gate.alice.post("/upload/image", files={"image": ("a.png", PNG)})).status_code == 200
    gate.clock.advance(86_400)
    return gate.clock.now_ms()


async def keeps_the_new(gate: Gate) -> None:
    [name] = stored(gate)
    assert gate.settings.files is not None
    assert (gate.settings.files / name).read_bytes() == OTHER
    assert len(gate.rows("SELECT 1 FROM assets")) == 1


async def test_a_file_uploaded_again_during_its_expiry_is_kept(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new file is in place, and its row is not written yet."""
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


async def test_an_upload_waits_for_the_deletion_of_the_former_file(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
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
