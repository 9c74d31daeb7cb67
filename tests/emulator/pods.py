"""Pods: list, create, show, update, delete, and the actions on them."""

from __future__ import annotations

import secrets
from typing import Any

from aiohttp import web

from tests.emulator import emulator, pod_rules, templates
from tests.emulator.emulator import Emulator, account_of, listed
from tests.emulator.identifiers import new_id
from tests.emulator.market import catalogue, holds
from tests.emulator.pod_view import ACTIONS, view
from tests.emulator.problems import NO_CAPACITY, ApiError
from tests.emulator.state import Pod

RESETTING = ("image", "args", "disk", "ports", "env", "registry")
"""A change of one of these starts the container again from its image."""

routes = web.RouteTableDef()


@routes.get("/v2/pods")
async def list_pods(request: web.Request) -> web.Response:
    """List the account's pods."""
    emu = emulator.of(request)
    now = emu.clock.now()
    return web.json_response({"pods": [view(pod, now) for pod in listed(request, emu.state.pods.values())]})


@routes.post("/v2/pods")
async def create_pod(request: web.Request) -> web.Response:
    """Place a pod; it costs from now on, and its container follows."""
    emu, body = emulator.of(request), templates.applied_to_pod(request, await request.json())
    pod_rules.check_compute(body)
    templates.check_registry(request, body)
    pod_rules.check_container(body)
    volume = pod_rules.mounted_volume(emu, account_of(request), body)
    data_center, price = pod_rules.place(emu, body, volume)
    pod = new_pod(emu, account_of(request), body)
    pod.data_center, pod.price = data_center, price
    emu.state.pods[pod.id] = pod
    await emu.lifecycle.create(pod)
    return web.json_response(view(pod, emu.clock.now()), status=201)


def new_pod(emu: Emulator, account: str, body: dict[str, Any]) -> Pod:
    """Return the pod a create asks for, not placed yet."""
    taken = {
        k: body[k] for k in ("name", "image", "args", "disk", "ports", "env", "cpu", "mounts", "registry") if k in body
    }
    keys = emu.state.account(account).ssh_keys if body.get("startSsh") else []
    gpu = {"count": 1} | body["gpu"] if "gpu" in body else None
    return Pod(
        id=new_id(),
        account=account,
        cloud=body.get("cloud", "SECURE"),
        created_at=emu.clock.now(),
        gpu=gpu,
        gpus_got=gpu["count"] if gpu else 0,
        global_networking=body.get("globalNetworking", False),
        public_key="\n".join(keys),
        api_key=f"rpa_{secrets.token_hex(20).upper()}",
        **taken,
    )


@routes.get("/v2/pods/{id}")
async def get_pod(request: web.Request) -> web.Response:
    """Show a pod."""
    return show(request, emulator.pod_of(request))


def show(request: web.Request, pod: Pod) -> web.Response:
    """Return a pod as it is now."""
    return web.json_response(view(pod, emulator.of(request).clock.now()))


@routes.patch("/v2/pods/{id}")
async def update_pod(request: web.Request) -> web.Response:
    """Change what can be changed; most of it resets the container."""
    emu, pod = emulator.of(request), emulator.pod_of(request)
    body = templates.applied(request, await request.json(), serverless=False)
    pod_rules.check_container(body)
    templates.check_registry(request, body)
    check_mounts(pod, body)
    resets = any(name in body and body[name] != getattr(pod, name) for name in RESETTING)
    if resets and pod.locked and body.get("locked", True):
        raise ApiError(409, "pod is locked")
    for name in ("name", "locked", "mounts", *RESETTING):
        if name in body:
            setattr(pod, name, body[name])
    pod.global_networking = body.get("globalNetworking", pod.global_networking)
    await emu.lifecycle.update(pod, resets=resets)
    return show(request, pod)


def check_mounts(pod: Pod, body: dict[str, Any]) -> None:
    """Refuse another kind of mount, another volume, or a smaller volume disk."""
    if "mounts" not in body:
        return
    wanted = body["mounts"]
    if set(wanted) != set(pod.mounts) or wanted.get("network", []) != pod.mounts.get("network", []):
        raise ApiError(400, "mounts: the kind of mount and its network volume are fixed when the pod is created")
    if wanted.get("persistent", {}).get("size", 0) < pod.mounts.get("persistent", {}).get("size", 0):
        raise ApiError(400, "mounts.persistent.size: a volume disk can only grow")


@routes.delete("/v2/pods/{id}")
async def delete_pod(request: web.Request) -> web.Response:
    """Terminate a pod."""
    await emulator.of(request).lifecycle.terminate(emulator.pod_of(request))
    return web.Response(status=204)


@routes.post("/v2/pods/{id}/action")
async def act_on_pod(request: web.Request) -> web.StreamResponse:
    """Start, stop, restart or terminate a pod, where its status allows it."""
    emu, pod, action = emulator.of(request), emulator.pod_of(request), (await request.json())["action"]
    if request[emulator.CALLER].pod_id and action != "stop":
        raise ApiError(403, "access denied")
    if action not in ACTIONS[pod.status]:
        raise ApiError(409, f"action {action} is not valid for a pod that is {pod.status}")
    if pod.locked and action in ("stop", "restart"):
        raise ApiError(409, "pod is locked")
    if action == "terminate":
        return await delete_pod(request)
    await {"start": start, "stop": stop, "restart": restart}[action](emu, pod)
    return show(request, pod)


async def start(emu: Emulator, pod: Pod) -> None:
    """Boot a stopped pod on its machine, if a GPU is free there."""
    if emu.conditions.balance < max(pod.price, 0.01):
        raise ApiError(402, "insufficient balance: credit for one hour is required")
    if pod.gpu:
        free = emu.market.free(catalogue().gpus[pod.gpu["id"]], pod.data_center)
        if emu.conditions.hits(emu.conditions.start_fails, pod) or (free is not None and free < pod.gpu["count"]):
            raise ApiError(400, NO_CAPACITY)
        none_free = emu.conditions.hits(emu.conditions.zero_gpus_after_start, pod)
        pod.gpus_got = 0 if none_free else pod.gpu["count"]
    pod.status = "STARTING"
    emu.lifecycle.launch(pod)


async def stop(emu: Emulator, pod: Pod) -> None:
    """Stop a pod: its container disk is lost, its volume stays."""
    await emu.lifecycle.halt(pod, "EXITED")


async def restart(emu: Emulator, pod: Pod) -> None:
    """Start a running pod's container again."""
    if holds(pod):
        await emu.lifecycle.reset(pod)
