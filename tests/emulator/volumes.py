"""Network volumes: directories that outlive pods and are billed by the hour, attached or not."""

from __future__ import annotations

import asyncio
import shutil
from typing import Any

from aiohttp import web

from tests.emulator import emulator, volume_behaviour
from tests.emulator.emulator import Emulator, account_of, listed
from tests.emulator.identifiers import new_id
from tests.emulator.market import catalogue, volume_price
from tests.emulator.problems import VOLUME_IN_USE, ApiError
from tests.emulator.state import Span, Volume

routes = web.RouteTableDef()


def view(volume: Volume) -> dict[str, Any]:
    """Return the volume in the document's form."""
    return {
        "id": volume.id,
        "name": volume.name,
        "size": volume.size,
        "dataCenter": volume.data_center,
        "type": volume.type,
    }


@routes.get("/v2/network-volumes")
async def list_volumes(request: web.Request) -> web.Response:
    """List the account's volumes."""
    volumes = emulator.of(request).state.volumes.values()
    return web.json_response({"networkVolumes": [view(volume) for volume in listed(request, volumes)]})


@routes.post("/v2/network-volumes")
async def create_volume(request: web.Request) -> web.Response:
    """Make a volume; it bills from now on."""
    emu, body = emulator.of(request), await request.json()
    data_center, kind = catalogue().data_centers.get(body["dataCenter"]), body.get("type", "STANDARD")
    if data_center is None or kind not in data_center.volume_types:
        raise ApiError(400, f"data center {body['dataCenter']} does not support {kind} network volumes")
    if emu.conditions.balance <= 0:
        raise ApiError(402, "insufficient balance")
    volume = Volume(new_id(10), account_of(request), body["name"], body["size"], body["dataCenter"], kind)
    add(emu, volume)
    return web.json_response(view(volume), status=201)


def add(emu: Emulator, volume: Volume) -> None:
    """Let a new volume be there, and bill it from now on."""
    emu.state.volume_directory(volume.id).mkdir(parents=True)
    emu.state.volumes[volume.id] = volume
    bill(emu, volume)


@routes.get("/v2/network-volumes/{id}")
async def get_volume(request: web.Request) -> web.Response:
    """Show a volume."""
    return web.json_response(view(emulator.volume_of(request)))


@routes.patch("/v2/network-volumes/{id}")
async def update_volume(request: web.Request) -> web.Response:
    """Rename or grow a volume."""
    emu, volume, body = emulator.of(request), emulator.volume_of(request), await request.json()
    if body.get("size", volume.size) < volume.size:
        raise ApiError(400, f"size: a network volume can only grow, and this one has {volume.size} GB")
    volume.name, volume.size = body.get("name", volume.name), body.get("size", volume.size)
    bill(emu, volume)
    volume_behaviour.settle(emu.state, emu.conditions, emu.runtime.volumes)
    return web.json_response(view(volume))


@routes.delete("/v2/network-volumes/{id}")
async def delete_volume(request: web.Request) -> web.Response:
    """Delete a volume and what is on it; one that a pod mounts is refused, unless the conditions say otherwise."""
    emu, volume = emulator.of(request), emulator.volume_of(request)
    status = emu.conditions.delete_mounted_status
    if status and any(pod.volume_id == volume.id for pod in emu.state.living_pods()):
        raise ApiError(status, VOLUME_IN_USE)
    await end(emu, volume)
    return web.Response(status=204)


async def end(emu: Emulator, volume: Volume) -> None:
    """Stop billing a volume and remove its files."""
    volume.ended_at = volume.spans[-1].end = emu.clock.now()
    emu.state.save()
    await asyncio.to_thread(emu.runtime.volumes.end, volume.id)
    await asyncio.to_thread(shutil.rmtree, emu.state.volume_directory(volume.id), ignore_errors=True)


def bill(emu: Emulator, volume: Volume) -> None:
    """Bill a volume for its present size from now on."""
    now, rate = emu.clock.now(), volume_price(volume.size, volume.type)
    if not volume.spans or volume.spans[-1].disk != rate:
        if volume.spans:
            volume.spans[-1].end = now
        volume.spans.append(Span(now, None, disk=rate))
    emu.state.save()
