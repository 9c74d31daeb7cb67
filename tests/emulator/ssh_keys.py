"""The account's SSH keys, which `startSsh` gives to new pods."""

from __future__ import annotations

from aiohttp import web

from tests.emulator import emulator
from tests.emulator.emulator import account_of

routes = web.RouteTableDef()


@routes.get("/v2/account/ssh-keys")
async def get_keys(request: web.Request) -> web.StreamResponse:
    """List the account's keys."""
    return web.json_response({"keys": emulator.of(request).state.account(account_of(request)).ssh_keys})


@routes.put("/v2/account/ssh-keys")
async def put_keys(request: web.Request) -> web.StreamResponse:
    """Replace the whole list of keys."""
    state = emulator.of(request).state
    state.account(account_of(request)).ssh_keys = (await request.json())["keys"]
    state.save()
    return await get_keys(request)
