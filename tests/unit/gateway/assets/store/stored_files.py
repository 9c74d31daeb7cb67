"""Files in the store and in ComfyUI's folders, and the loss of the latter by a stop of the pod."""

from __future__ import annotations

from typing import Any

import httpx

from tests.unit.gateway.conftest import Gate, finish, submit, until
from tests.unit.gateway.fake import png

OTHER = png(2, 3)


async def restart(gate: Gate) -> None:
    """Restart ComfyUI on an empty disk and notify the gateway."""
    listener = gate.app.services.comfyui_listener
    await gate.comfy.restart()
    await until(lambda: not listener.connected)
    await until(lambda: listener.connected)


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
