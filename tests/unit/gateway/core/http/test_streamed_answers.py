"""Answers that are streamed end when the client hangs up or goes on sending a body."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import Response, StreamingResponse
from starlette.types import Message

from provisioning.gateway.core.http.context import RequestContext
from provisioning.gateway.core.http.middleware import AnswerMiddleware
from provisioning.gateway.core.http.operation import MAX_BODY_BYTES, Operation
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.http.routing import Endpoint
from provisioning.gateway.core.problems import Problem

SCOPE = {"type": "http", "method": "GET", "path": "/", "headers": []}


async def serve(stream: AsyncIterator[bytes], received: AsyncIterator[Message]) -> RequestContext:
    """Have an answer streamed to a client that takes everything; return when the answer has ended."""

    async def answer(_request: GatewayRequest, _found: Operation | Problem) -> Response:
        return StreamingResponse(stream)

    async def receive() -> Message:
        return await anext(received)

    async def send(_message: Message) -> None:
        """Return at once, as uvicorn does when the client is gone."""

    scope: dict[str, Any] = dict(SCOPE)
    context = RequestContext(idle_seconds=60)
    context.bind(scope)
    async with asyncio.timeout(60):
        await AnswerMiddleware(Endpoint({}, answer))(scope, receive, send)
    return context


async def test_a_stream_that_never_waits_ends_when_the_client_hangs_up() -> None:
    sent = 0

    async def stream() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100_000:
            sent += 1
            yield b"x"

    async def received() -> AsyncIterator[Message]:
        yield {"type": "http.disconnect"}

    await serve(stream(), received())
    assert sent < 1000


async def test_a_stream_ends_when_the_client_sends_a_longer_body_than_it_may() -> None:
    async def stream() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.01)

    async def received() -> AsyncIterator[Message]:
        while True:
            yield {"type": "http.request", "body": bytes(16 * 1024), "more_body": True}
            await asyncio.sleep(0)

    context = await serve(stream(), received())
    assert MAX_BODY_BYTES < context.bytes_in <= MAX_BODY_BYTES + 32 * 1024
