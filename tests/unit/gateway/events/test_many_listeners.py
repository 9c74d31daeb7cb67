"""Many listeners on one gateway process: all receive every event, with bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.unit.gateway.conftest import until
from tests.unit.gateway.fake import FakeComfyUI
from tests.unit.gateway.gateway_process import prepare, serving
from tests.unit.gateway.listener_load import MEBIBYTE, crowd, measure, resident


@pytest.mark.slow
async def test_many_listeners_all_receive_events_with_little_memory(
    comfy: tuple[FakeComfyUI, str], tmp_path: Path
) -> None:
    before, after = await measure(comfy, tmp_path, 100, 20)
    assert (after - before) / 120 < 200 * 1024, (before, after)


@pytest.mark.nightly
async def test_a_thousand_streams_and_two_hundred_sockets_fit_in_200_mb(
    comfy: tuple[FakeComfyUI, str], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    before, after = await measure(comfy, tmp_path, 1000, 200)
    figures = f"{before / MEBIBYTE:.0f} MiB before, {after / MEBIBYTE:.0f} MiB with 1000 streams and 200 WebSockets"
    record_property("memory", figures)
    assert after < 200_000_000, figures
    print(figures)  # noqa: T201 - the figure that this run is for


@pytest.mark.slow
async def test_memory_is_freed_when_listeners_disconnect(comfy: tuple[FakeComfyUI, str], tmp_path: Path) -> None:
    bounds: dict[str, Any] = {"max_sockets_per_owner": 200, "max_streams_per_key": 200}
    setup = prepare(tmp_path, comfy[1], scopes=("client", "admin"), **bounds)
    async with serving(setup) as gateway, setup.client() as client:
        grown = []
        for _ in range(3):
            async with AsyncExitStack() as stack:
                waiting = await crowd(setup, stack, 40, 5)
                for task in waiting:
                    task.cancel()
                await asyncio.gather(*waiting, return_exceptions=True)
            await until(lambda: _is_empty(client))
            grown.append(resident(gateway.pid))
    assert grown[2] - grown[0] < 4 * MEBIBYTE, grown


async def _is_empty(client: httpx.AsyncClient) -> bool:
    return "gateway_listeners 0.0" in (await client.get("/metrics")).text
