"""The emulator as an aiohttp application: every call passes the same checks before its handler."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from json import JSONDecodeError
from typing import Any

from aiohttp import web

from tests.emulator import accounts, api_routes, control, control_account, control_volumes, emulator, error_forms
from tests.emulator.callers import is_ours
from tests.emulator.emulator import EMULATOR, Emulator
from tests.emulator.faults import Effect
from tests.emulator.problems import ApiError, invalid, problem, to_response
from tests.emulator.validation import Operation, published

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ENTRY: web.RequestKey[dict[str, Any]] = web.RequestKey("entry", dict)
"""What is remembered of a request."""
RATE_HEADERS: web.RequestKey[dict[str, str]] = web.RequestKey("rate_headers", dict)
OPERATION = web.RequestKey("operation", Operation)
"""The document's operation that a request calls."""
LOCAL_NAMES = ("127.0.0.1", "localhost")
MAX_BODY = 4 * 1024 * 1024

log = logging.getLogger("emulator")


def create_app(emu: Emulator, *, with_control: bool = True) -> web.Application:
    """Return the application, `with_control` or as a pod sees it; `attended` looks after its pods."""
    # Inside a pod there are only the pod's own users, whose connections this machine's list does not show.
    own = [refuse_other_users] if with_control else []
    middlewares = [refuse_foreign_names, *own, record, inject, guard]
    app = web.Application(middlewares=middlewares, client_max_size=MAX_BODY)
    app[EMULATOR] = emu
    for routes in api_routes.ROUTES:
        app.add_routes(routes)
    if with_control:
        for control_routes in (control.routes, control_volumes.routes, control_account.routes):
            app.add_routes(control_routes)
    return app


@asynccontextmanager
async def attended(emu: Emulator) -> AsyncIterator[None]:
    """Take up the pods, look after them meanwhile, and let go of them: they go on."""
    await emu.lifecycle.resume()
    watcher = asyncio.create_task(emu.lifecycle.watch())
    try:
        yield
    finally:
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
        await emu.faults.close()
        await emu.lifecycle.close()
        await emu.runtime.close()


@web.middleware
async def refuse_foreign_names(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer to loopback's own names alone: a page that has its name point here must not run commands in pods."""
    if request.host.rpartition(":")[0] not in LOCAL_NAMES:
        return web.Response(status=421, text=f"this is not {request.host}\n")
    return await handler(request)


@web.middleware
async def refuse_other_users(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer to our own user's programs alone: a pod runs whatever it is told, as we."""
    link = request.transport
    if link is None or not is_ours(link.get_extra_info("peername"), link.get_extra_info("sockname")):
        return web.Response(status=403, text="this stand-in belongs to another user of this machine\n")
    return await handler(request)


@web.middleware
async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Remember every call with what came of it."""
    emu, began = emulator.of(request), time.monotonic()
    entry: dict[str, Any] = {"method": request.method, "path": request.path, "query": dict(request.query), "errors": []}
    entry |= {"at": emu.clock.now(), "status": None, "fault": None}
    if not request.path.startswith("/_emulator"):
        emu.requests.append(entry)
    request[ENTRY] = entry
    try:
        response = await handler(request)
    except web.HTTPException:
        raise
    except Exception as error:
        # RunPod would never answer so: whatever test made this call is to fail, and to say where.
        violate(request, [f"the stand-in itself failed: {error!r}"])
        raise
    entry |= {"status": response.status, "seconds": round(time.monotonic() - began, 4)}
    return response


@web.middleware
async def inject(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Do to a call what a fault rule says."""
    emu = emulator.of(request)
    if request.path.startswith("/_emulator") or not emu.faults.rules:
        return await handler(request)
    effect = emu.faults.choose(request.method, request.path, await request.text(), emu.clock.now())
    if effect is None:
        return await handler(request)
    request[ENTRY]["fault"] = effect.label
    await control.change_world(emu, effect)
    await emu.clock.sleep(effect.stall_seconds)
    if effect.late_seconds:
        emu.faults.later(carry_out_late(request, handler, effect.late_seconds))
    if effect.reset_before or effect.late_seconds:
        return reset(request)
    answered = None if effect.status is not None and not effect.effect else await handler(request)
    await emu.clock.sleep(effect.stall_after_seconds)
    if effect.reset_after:
        return reset(request)
    return answered if answered is not None and effect.status is None else forged(effect)


async def carry_out_late(request: web.Request, handler: Handler, seconds: float) -> None:
    """Carry a call out long after its connection broke."""
    await emulator.of(request).clock.sleep(seconds)
    await handler(request)


def reset(request: web.Request) -> web.Response:
    """Break the connection the hard way; the response is never sent."""
    if request.transport is not None:
        plug: socket.socket = request.transport.get_extra_info("socket")
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return web.Response(status=500)


def forged(effect: Effect) -> web.Response:
    """Return the answer a rule gives in place of the real one."""
    status = effect.status or 500
    if effect.body is None and status >= 400:
        response = error_forms.answer(status, effect.form)
    elif isinstance(effect.body, str):
        response = web.Response(status=status, text=effect.body, content_type=effect.content_type or "text/html")
    elif effect.body is None:
        response = web.Response(status=status)
    else:
        kind = effect.content_type or ("application/problem+json" if status >= 400 else "application/json")
        response = web.json_response(effect.body, status=status, content_type=kind)
    response.headers.update(effect.headers)
    return response


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Hold every API call and its answer against the document."""
    if not request.path.startswith("/v2/"):
        return await handler(request)
    if refused := accounts.refuse_agent(request):
        return refused
    try:
        await admit(request)
        response = await handler(request)
    except ApiError as error:
        request[ENTRY]["errors"] = error.errors or [error.detail]
        response = to_response(error)
    except web.HTTPException:
        response = problem(501, f"{request.method} {request.path} is in RunPod's API but not in this stand-in")
    if not response.prepared:
        response.headers.update(request.get(RATE_HEADERS, {}))
    check_response(request, response)
    return response


async def admit(request: web.Request) -> None:
    """Let a call in when its key, its quota, its path and its content are in order; ApiError otherwise."""
    emu = emulator.of(request)
    caller = accounts.identify(request, emu.state, emu.conditions.revoked_keys)
    request[emulator.CALLER] = caller
    request[ENTRY]["account"] = caller.account
    request[RATE_HEADERS] = emu.quota.take(caller.account, emu.conditions.requests_per_minute, emu.clock.now())
    operation = find_operation(request)
    request[OPERATION] = operation
    accounts.refuse_scope(caller, request)
    if unknown := operation.unknown_query(request.query):
        violate(request, [f"query parameters the document does not know: {', '.join(unknown)}"])
    if errors := operation.query_errors(request.query):
        raise invalid(*errors)
    if operation.has_body:
        await check_body(request, operation)


def find_operation(request: web.Request) -> Operation:
    """Return the document's operation of a call; 404 and 405 as the API answers them."""
    template = published().template(request.path)
    if template is None:
        raise ApiError(404, "resource not found")
    operation = published().operation(request.method, template)
    if operation is None:
        allowed = ", ".join(published().methods(template))
        raise ApiError(405, "method not allowed", headers={"Allow": allowed})
    return operation


async def check_body(request: web.Request, operation: Operation) -> None:
    """Refuse a body that is not as the document says."""
    try:
        body = await request.json()
    except (JSONDecodeError, UnicodeDecodeError) as error:
        raise ApiError(400, f"the body is not JSON: {error}") from error
    if errors := operation.request_errors(body):
        raise invalid(*errors)


def check_response(request: web.Request, response: web.StreamResponse) -> None:
    """Record where an answer of ours departs from the document."""
    operation: Operation | None = request.get(OPERATION)
    if operation is None or response.status in (401, 501):
        return
    body = response.body if isinstance(response, web.Response) else b""
    raw = bytes(body) if isinstance(body, bytes | bytearray) else b""
    if errors := operation.response_errors(response.status, response.content_type, raw):
        violate(request, errors)


def violate(request: web.Request, errors: list[str]) -> None:
    """Remember that a call and the document disagree; tests that see one fail."""
    entry = {"method": request.method, "path": request.path, "errors": errors}
    log.error("not as the document says: %s", entry)
    emulator.of(request).violations.append(entry)
