"""The control API of what others do: the market, accounts and RunPod's console."""

from __future__ import annotations

import secrets
from dataclasses import asdict, replace

from aiohttp import web

from tests.emulator import accounts, emulator, market_moves, volumes
from tests.emulator.control import read
from tests.emulator.identifiers import new_id
from tests.emulator.pod_view import view
from tests.emulator.state import Pod, Volume

routes = web.RouteTableDef()


@routes.post("/_emulator/market")
async def move_market(request: web.Request) -> web.Response:
    """Move all prices, tiers and stocks: `{"move": 7}`, a seed; `"stock": false` leaves the stock as it is."""
    emu, body = emulator.of(request), await read(request)
    market_moves.move(emu.market, int(body["move"]), stock=bool(body.get("stock", True)))
    emu.state.save()
    return web.json_response(emu.state.market)


@routes.post("/_emulator/accounts")
async def join_accounts(request: web.Request) -> web.Response:
    """Let a key be one more of another key's account, as after a rotation: `{"key": new, "sameAs": old}`."""
    emu, body = emulator.of(request), await read(request)
    account = accounts.account_of_key(emu.state, body["sameAs"])
    emu.state.aliases[accounts.own_account(body["key"])] = account
    emu.state.save()
    return web.json_response({"account": account})


@routes.post("/_emulator/clones")
async def clone(request: web.Request) -> web.Response:
    """Make what a click on `clone` in RunPod's console makes: `{"pod": id}` or `{"volume": id}`.

    A pod's clone has its name and its variables, and so the mark of whoever made the first; a volume's is empty. With
    `"atOnce": true` the clone is what a POST has made that was thought to be lost.
    """
    emu, body = emulator.of(request), await read(request)
    if pod := emu.state.pods.get(body.get("pod", "")):
        copied = clone_of_pod(pod, pod.created_at if body.get("atOnce") else emu.clock.now())
        emu.state.pods[copied.id] = copied
        await emu.lifecycle.create(copied)
        return web.json_response(view(copied, emu.clock.now()))
    if volume := emu.state.volumes.get(body.get("volume", "")):
        made = clone_of_volume(volume)
        volumes.add(emu, made)
        return web.json_response(asdict(made))
    raise web.HTTPNotFound(text=f"{body} names no pod and no volume\n")


def clone_of_pod(pod: Pod, now: float) -> Pod:
    """Return a pod as another was asked for, not placed yet."""
    return replace(
        pod,
        id=new_id(),
        created_at=now,
        status="PROVISIONING",
        api_key=f"rpa_{secrets.token_hex(20).upper()}",
        started_at=None,
        first_started_at=None,
        http_ports={},
        tcp_ports={},
        spans=[],
        ended_at=None,
    )


def clone_of_volume(volume: Volume) -> Volume:
    """Return a volume as another was asked for, not billed yet."""
    return replace(volume, id=new_id(10), spans=[], ended_at=None)
