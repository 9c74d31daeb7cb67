"""The control API of network volumes: faults injected into a mounted volume."""

from __future__ import annotations

from dataclasses import asdict

from aiohttp import web

from tests.emulator import emulator, volume_behaviour
from tests.emulator.control import read

routes = web.RouteTableDef()


@routes.post("/_emulator/volumes/{id}")
async def order(request: web.Request) -> web.Response:
    """Have a volume that a pod has mounted do something at once; an order takes the place of the one before.

    `{"do": "stall", "seconds": 20}` lets every call on it wait so long (real time);
    `{"do": "fail-writes", "count": 3, "error": "EIO"}` fails the next writes; `{"do": "rest"}` ends both.
    """
    emu, body, volume_id = emulator.of(request), await read(request), request.match_info["id"]
    try:
        orders = volume_behaviour.orders_of(body)
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"{error}\n") from error
    if not emu.runtime.volumes.order(volume_id, orders):
        why = volume_behaviour.described(emu.conditions, emu.runtime.volumes)
        raise web.HTTPConflict(text=f"no pod has mounted the volume {volume_id}; volumes here are {why}\n")
    return web.json_response({"volume": volume_id, "orders": asdict(orders)})
