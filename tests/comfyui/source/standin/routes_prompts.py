"""Routes that submit, list, interrupt and delete prompts, and the WebSocket with their events."""

from __future__ import annotations

import json
import uuid
from typing import Any

from aiohttp import web

from .jobs import check_id
from .prompt_queue import make_item
from .requests import server_of
from .validation import Reason, reason, validate

ROUTES = web.RouteTableDef()


@ROUTES.get("/ws")
async def websocket(request: web.Request) -> web.WebSocketResponse:
    """Serve one client's socket."""
    return await server_of(request).sockets.handle(request)


@ROUTES.get("/prompt")
async def get_prompt(request: web.Request) -> web.Response:
    """Tell how many jobs are left."""
    return web.json_response(server_of(request).queue_info())


@ROUTES.post("/prompt")
async def post_prompt(request: web.Request) -> web.Response:
    """Check a prompt and queue it."""
    server = server_of(request)
    body = await request.json()
    number = float(body["number"]) if "number" in body else server.take_number(front=bool(body.get("front")))
    if "prompt" not in body:
        return _refuse(reason("no_prompt", "No prompt provided", "No prompt provided"))
    try:
        prompt_id = str(uuid.uuid4()) if body.get("prompt_id") is None else check_id(body["prompt_id"])
    except ValueError:
        return _refuse(_BAD_ID)
    verdict = validate(body["prompt"], body.get("partial_execution_targets"), server.registry)
    if verdict.error is not None:
        return _refuse(verdict.error, verdict.node_errors)
    extra_data = _extra_data(body, request)
    server.queue.put(make_item(number, prompt_id, body["prompt"], extra_data, verdict.outputs))
    return web.json_response({"prompt_id": prompt_id, "number": number, "node_errors": verdict.node_errors})


@ROUTES.get("/queue")
async def get_queue(request: web.Request) -> web.Response:
    """Tell every job that runs or waits."""
    running, waiting = server_of(request).queue.current()
    return web.json_response({"queue_running": running, "queue_pending": waiting})


@ROUTES.post("/queue")
async def post_queue(request: web.Request) -> web.Response:
    """Take jobs off the queue."""
    queue = server_of(request).queue
    body = await request.json()
    if body.get("clear"):
        queue.wipe()
    for prompt_id in body.get("delete", []):
        queue.delete(prompt_id)
    return web.Response()


@ROUTES.post("/interrupt")
async def post_interrupt(request: web.Request) -> web.Response:
    """End the running job, whoever's it is, or only if it is the one named."""
    server = server_of(request)
    try:
        prompt_id = (await request.json()).get("prompt_id")
    except json.JSONDecodeError:
        prompt_id = None
    if prompt_id:
        server.queue.interrupt_if_running(prompt_id)
    else:
        server.machine.interrupt()
    return web.Response()


@ROUTES.get("/history")
async def get_history(request: web.Request) -> web.Response:
    """Tell finished jobs."""
    query = request.query
    # A number that is none ends in a 500, as it does in ComfyUI.
    max_items = int(query["max_items"]) if "max_items" in query else None
    return web.json_response(server_of(request).queue.history(None, max_items, int(query.get("offset", -1))))


@ROUTES.get("/history/{prompt_id}")
async def get_history_item(request: web.Request) -> web.Response:
    """Tell one finished job; an empty object where it is not finished or not known."""
    return web.json_response(server_of(request).queue.history(request.match_info["prompt_id"]))


@ROUTES.post("/history")
async def post_history(request: web.Request) -> web.Response:
    """Forget finished jobs."""
    queue = server_of(request).queue
    body = await request.json()
    if body.get("clear"):
        queue.wipe_history()
    for prompt_id in body.get("delete", []):
        queue.delete_history(prompt_id)
    return web.Response()


@ROUTES.post("/free")
async def post_free(request: web.Request) -> web.Response:
    """Unload models and forget results."""
    body = await request.json()
    if body.get("free_memory"):
        server_of(request).queue.ask_to_forget_cache()
    return web.Response()


_BAD_ID = reason(
    "invalid_prompt_id",
    "prompt_id must be a valid UUID",
    "prompt_id must be a UUID string in canonical lowercase hyphenated form; omit it to let the server generate one",
)


def _extra_data(body: dict[str, Any], request: web.Request) -> dict[str, Any]:
    extra_data: dict[str, Any] = body.get("extra_data", {})
    if "client_id" in body:
        extra_data["client_id"] = body["client_id"]
    if source := request.headers.get("Comfy-Usage-Source"):
        extra_data.setdefault("comfy_usage_source", source)
    return extra_data


def _refuse(error: Reason, node_errors: dict[str, Any] | None = None) -> web.Response:
    return web.json_response({"error": error, "node_errors": node_errors or {}}, status=400)
