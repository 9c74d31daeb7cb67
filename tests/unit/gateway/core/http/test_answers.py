"""What every answer carries, and how it goes out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from provisioning.gateway.core.http.context import RequestContext
from provisioning.gateway.core.http.middleware import PIECE_BYTES, SECURITY_HEADERS, AnswerMiddleware
from provisioning.gateway.core.http.operation import Operation
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.http.routing import Endpoint
from provisioning.gateway.core.problems import Problem

BODY = bytes(range(256)) * 4096


async def _gone() -> Message:
    return {"type": "http.disconnect"}


async def _waits() -> Message:
    await asyncio.Event().wait()
    raise AssertionError("nothing sets the event")


def endpoint(response: Response, closed: list[str]) -> Endpoint:
    async def answer(request: GatewayRequest, _found: Operation | Problem) -> Response:
        request.held.callback(closed.append, "closed")
        return response

    return Endpoint({}, answer)


async def answered(
    response: Response, method: str = "GET", receive: Receive = _waits, send: Send | None = None
) -> tuple[RequestContext, list[Message], list[str]]:
    """Send an answer; returns what was noted, what was sent, and what the handler held that is closed."""
    sent, closed, context = list[Message](), list[str](), RequestContext(idle_seconds=0.05)
    scope: Scope = {"type": "http", "method": method, "path": "/", "headers": []}
    context.bind(scope)
    context.headers.append(("ratelimit", "1"))

    async def keep(message: Message) -> None:
        sent.append(message)
        if send is not None:
            await send(message)

    try:
        await AnswerMiddleware(endpoint(response, closed))(scope, receive, keep)
    except TimeoutError:
        closed.append("late")
    return context, sent, closed


async def pieces() -> AsyncIterator[bytes]:
    for _ in range(3):
        yield b"piece"


async def test_an_answer_carries_its_request_and_what_a_browser_must_not_do() -> None:
    own = {"cache-control": "private", "content-security-policy": "default-src 'self'"}
    context, sent, _ = await answered(Response(b"x", 201, headers=own))
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    assert len(headers) == len(sent[0]["headers"]), "no header comes twice"
    assert headers == {**dict(SECURITY_HEADERS), **own, "content-length": "1", "ratelimit": "1"} | {
        "x-request-id": context.request_id
    }
    assert (context.status, context.bytes_out) == (201, 1)


async def test_a_long_body_goes_out_in_pieces() -> None:
    context, sent, _ = await answered(Response(BODY + b"end"))
    bodies = sent[1:]
    assert b"".join(message["body"] for message in bodies) == BODY + b"end"
    assert max(len(message["body"]) for message in bodies) == PIECE_BYTES
    assert [message["more_body"] for message in bodies] == [True] * 4 + [False]
    assert context.bytes_out == len(BODY) + 3


@pytest.mark.parametrize("response", [Response(b"12345"), StreamingResponse(pieces(), headers={"content-length": "5"})])
async def test_head_has_the_headers_of_get_and_no_body(response: Response) -> None:
    context, sent, closed = await answered(response, "HEAD")
    assert (b"content-length", b"5") in sent[0]["headers"]
    assert [message["body"] for message in sent[1:]] == [b""]
    assert (context.bytes_out, closed) == (0, ["closed"])


@pytest.mark.parametrize("response", [Response(BODY), StreamingResponse(pieces())])
async def test_a_client_that_does_not_read_is_given_up(response: Response) -> None:
    async def stuck(message: Message) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    _, _, closed = await answered(response, send=stuck)
    assert closed == ["closed", "late"]


async def test_a_stream_ends_when_its_client_hangs_up() -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"begun"
        await asyncio.Event().wait()

    _, _, closed = await answered(StreamingResponse(endless()), receive=_gone)
    assert closed == ["closed"]


async def test_what_an_answer_needs_is_held_until_it_has_gone_out() -> None:
    closed_at_the_end = list[list[str]]()
    held = list[str]()

    async def parts() -> AsyncIterator[bytes]:
        yield b"x"
        closed_at_the_end.append([*held])

    scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    RequestContext(idle_seconds=1).bind(scope)

    async def send(_message: Message) -> None:
        await asyncio.sleep(0)

    await endpoint(StreamingResponse(parts()), held)(scope, _waits, send)
    assert (closed_at_the_end, held) == ([[]], ["closed"])
