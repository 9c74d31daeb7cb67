"""The emulator's control API below /_emulator: clock, stock, prices, faults and the real state of pods."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from json import JSONDecodeError
from typing import Any

from aiohttp import web

from tests.emulator import emulator, market_moves, volume_behaviour, workers
from tests.emulator.emulator import Emulator, Thing
from tests.emulator.faults import Effect, parse_conditions, parse_rule
from tests.emulator.market import catalogue, holds
from tests.emulator.pod_view import view
from tests.emulator.presets import Credential, Endpoint, Template
from tests.emulator.state import Pod

DRIFTING = ("name", "image", "args", "disk", "ports", "env", "status", "locked")
"""What may change of a pod behind its owner's back."""

routes = web.RouteTableDef()


async def read(request: web.Request) -> Any:  # noqa: ANN401 - JSON can be anything
    """Return the JSON body; 400 on anything else. A browser's cross-site call is refused."""
    if "Origin" in request.headers:
        raise web.HTTPForbidden(text="the control plane is not for web pages\n")
    try:
        return await request.json()
    except (JSONDecodeError, UnicodeDecodeError) as error:
        raise web.HTTPBadRequest(text=f"the body is not JSON: {error}\n") from error


@routes.get("/_emulator/health")
async def health(request: web.Request) -> web.Response:
    """Say that it is there, and which one it is."""
    emu = emulator.of(request)
    facts = {
        "pid": os.getpid(),
        "state": str(emu.state.directory),
        "runtime": emu.runtime.name,
        "code": emu.code,
        "reason": emu.reason,
        "volumes": volume_behaviour.described(emu.conditions, emu.runtime.volumes),
    }
    return web.json_response({"emulator": "runpod", "pods": len(list(emu.state.living_pods()))} | facts)


@routes.get("/_emulator/faults")
async def get_faults(request: web.Request) -> web.Response:
    """List the rules with how often each matched and acted."""
    return web.json_response(emulator.of(request).faults.report())


@routes.post("/_emulator/faults")
async def set_faults(request: web.Request) -> web.StreamResponse:
    """Replace the rules by a list of rules; an empty one ends all faults."""
    emu, body = emulator.of(request), await read(request)
    try:
        emu.faults.rules = [parse_rule(rule, emu.clock.now()) for rule in body]
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"{error}\n") from error
    return await get_faults(request)


@routes.post("/_emulator/conditions")
async def set_conditions(request: web.Request) -> web.Response:
    """Set the conditions that are named; the others stay as they are."""
    emu, body = emulator.of(request), await read(request)
    try:
        parse_conditions(body)
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"{error}\n") from error
    change_conditions(emu, body)
    return web.json_response(asdict(emu.conditions))


def change_conditions(emu: Emulator, changes: dict[str, Any]) -> None:
    """Let the named conditions hold from now on."""
    for name, value in changes.items():
        setattr(emu.conditions, name, value)
    emu.state.conditions |= changes
    emu.state.save()
    volume_behaviour.settle(emu.state, emu.conditions, emu.runtime.volumes)


@routes.post("/_emulator/clock")
async def advance(request: web.Request) -> web.Response:
    """Move the clock forward by `advance` seconds."""
    emu, body = emulator.of(request), await read(request)
    emu.clock.advance(body["advance"])
    emu.state.clock_offset = emu.clock.offset
    emu.state.save()
    return web.json_response({"now": emu.clock.now()})


@routes.post("/_emulator/stock")
async def set_stock(request: web.Request) -> web.Response:
    """Set stock by a list of {gpu, dataCenter, available}; `*` is all, null is plenty."""
    emu = emulator.of(request)
    change_stock(emu, await read(request))
    return web.json_response(emu.state.market)


def change_stock(emu: Emulator, items: list[dict[str, Any]]) -> None:
    """Let there be so much stock from now on."""
    for item in items:
        emu.market.set_stock(item.get("gpu", "*"), item.get("dataCenter", "*"), item["available"])
    emu.state.save()


async def change_world(emu: Emulator, effect: Effect) -> None:
    """Do what a fault rule says of everything but its call."""
    change_conditions(emu, effect.conditions)
    change_stock(emu, effect.stock)
    if effect.market is not None:
        market_moves.move(emu.market, effect.market)
        emu.state.save()
    for pod in list(emu.state.living_pods()) if effect.pods else []:
        await befall(emu, pod, effect.pods)


@routes.post("/_emulator/prices")
async def set_prices(request: web.Request) -> web.Response:
    """Set prices by a list of {gpu, cloud, price}; null takes a GPU out of a cloud."""
    emu = emulator.of(request)
    for item in await read(request):
        if item["gpu"] not in catalogue().gpus:
            raise web.HTTPBadRequest(text=f"unknown GPU type {item['gpu']!r}\n")
        emu.market.set_price(item["gpu"], item.get("cloud", "SECURE"), item["price"])
    emu.state.save()
    return web.json_response(emu.state.market)


@routes.get("/_emulator/requests")
async def get_requests(request: web.Request) -> web.Response:
    """List the calls that came in, the oldest first."""
    return web.json_response(list(emulator.of(request).requests))


@routes.delete("/_emulator/requests")
async def forget_requests(request: web.Request) -> web.Response:
    """Forget the calls that came in."""
    emulator.of(request).requests.clear()
    return web.Response(status=204)


@routes.get("/_emulator/violations")
async def get_violations(request: web.Request) -> web.Response:
    """List where calls or answers departed from RunPod's document; a test asserts that there are none."""
    return web.json_response(list(emulator.of(request).violations))


@routes.get("/_emulator/pods")
async def get_pods(request: web.Request) -> web.Response:
    """List everything that exists, of all accounts, as it really is: no lag, no fault."""
    emu, now = emulator.of(request), emulator.of(request).clock.now()
    pods = [{"account": pod.account, **view(pod, now)} for pod in emu.state.living_pods()]
    volumes = [asdict(volume) for volume in emu.state.living_volumes()]
    others = {
        "endpoints": [{**shown(one), "workers": len(workers.living(one, now))} for one in living(emu.state.endpoints)],
        "templates": [shown(one) for one in living(emu.state.templates)],
        "registries": [shown(one) for one in living(emu.state.registries)],
        "sshKeys": [key for account in emu.state.accounts.values() for key in account.ssh_keys],
    }
    return web.json_response({"pods": pods, "volumes": volumes, **others})


def living(things: Mapping[str, Thing]) -> list[Thing]:
    """Return what has not ended."""
    return [thing for thing in things.values() if thing.ended_at is None]


def shown(thing: Template | Credential | Endpoint) -> dict[str, Any]:
    """Return what tells a thing from others."""
    return {"id": thing.id, "name": thing.name, "account": thing.account}


@routes.post("/_emulator/endpoints/{id}")
async def load(request: web.Request) -> web.Response:
    """Do to an endpoint what `do` says: `work` starts `workers` busy workers, `drift` sets members, `lose` ends it."""
    emu, body = emulator.of(request), await read(request)
    endpoint = emu.state.endpoints.get(request.match_info["id"])
    if endpoint is None or endpoint.ended_at is not None:
        raise web.HTTPNotFound(text="no such endpoint\n")
    match body.get("do"):
        case "work":
            for _ in range(body["workers"]):
                workers.start(endpoint, emu.clock.now(), busy=True)
        case "drift":
            for name, value in body["set"].items():
                setattr(endpoint, name, value)
        case "lose":
            endpoint.ended_at = emu.clock.now()
            workers.end_all(endpoint, endpoint.ended_at)
        case other:
            raise web.HTTPBadRequest(text=f"do: {other!r} is none of work, drift, lose\n")
    emu.state.save()
    return web.json_response(shown(endpoint))


@routes.post("/_emulator/pods/{id}")
async def disturb(request: web.Request) -> web.Response:
    """Do to a pod what `do` says: `drift` (with `set`), `gap` (with `seconds`), `lose`, `crash`, `stop` or `fail-host`.

    In a gap its `runtime` lists no GPU, as when RunPod's telemetry fails.
    """
    emu, body = emulator.of(request), await read(request)
    pod = emu.state.pods.get(request.match_info["id"])
    if pod is None or pod.ended_at is not None:
        raise web.HTTPNotFound(text="no such pod\n")
    if body.get("do") == "drift":
        drift(pod, body["set"])
        emu.state.save()
    elif body.get("do") == "gap":
        pod.gpus_hidden_until = emu.clock.now() + body["seconds"]
        emu.state.save()
    else:
        await befall(emu, pod, body.get("do"))
    return web.json_response(view(pod, emu.clock.now()) | {"holdsCompute": holds(pod)})


async def befall(emu: Emulator, pod: Pod, what: object) -> None:
    """Do something to a pod that its owner did not ask for."""
    match what:
        case "lose":
            await emu.lifecycle.terminate(pod)
        case "stop" | "fail-host":
            await emu.lifecycle.halt(pod, "EXITED" if what == "stop" else "ERROR")
        case "crash":
            await emu.runtime.stop(pod.id)
        case other:
            raise web.HTTPBadRequest(text=f"do: {other!r} is none of drift, gap, lose, crash, stop, fail-host\n")


def drift(pod: Pod, changes: dict[str, Any]) -> None:
    """Change members of a pod out of band; the container is left as it is."""
    for name, value in changes.items():
        if name not in DRIFTING:
            raise web.HTTPBadRequest(text=f"set: {name!r} is none of {', '.join(DRIFTING)}\n")
        setattr(pod, name, value)
