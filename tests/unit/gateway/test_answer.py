"""What goes onto the wire for an answer, and what never does."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from provisioning.gateway.web.answer import LARGE_BYTES, Answer

LENGTH = (b"content-length", b"4")


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def writelines(self, pieces: Any) -> None:  # noqa: ANN401 - any pieces
        self.writes.append(b"".join(pieces))

    def close(self) -> None:
        self.closed = True


def answering(wire: Wire, *, method: str = "GET", keep_alive: bool = True) -> Answer:
    """Return the answer to a request."""
    transport: Any = wire
    log = logging.getLogger("uvicorn.error")
    return Answer(
        {"method": method},  # type: ignore[typeddict-item]  # all of it that is looked at
        transport,
        FlowControl(transport),
        log,
        log,
        access_log=False,
        default_headers=[(b"date", b"today")],
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=keep_alive,
        on_response=lambda: None,
    )


async def begin(answer: Answer, *headers: tuple[bytes, bytes], status: int = 200) -> None:
    await answer.send({"type": "http.response.start", "status": status, "headers": headers})


async def go_on(answer: Answer, body: bytes, *, more: bool = False) -> None:
    await answer.send({"type": "http.response.body", "body": body, "more_body": more})


async def test_head_and_body_are_one_write() -> None:
    wire = Wire()
    answer = answering(wire)
    await begin(answer, LENGTH)
    assert wire.writes == []
    await go_on(answer, b"text")
    assert wire.writes == [b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-length: 4\r\n\r\ntext"]
    assert not wire.closed


async def test_an_empty_piece_sends_the_head() -> None:
    wire = Wire()
    answer = answering(wire)
    await begin(answer)
    await go_on(answer, b"", more=True)
    assert wire.writes == [b"HTTP/1.1 200 OK\r\ndate: today\r\ntransfer-encoding: chunked\r\n\r\n"]
    await go_on(answer, b"abc", more=True)
    await go_on(answer, b"")
    assert wire.writes[1:] == [b"3\r\nabc\r\n", b"0\r\n\r\n"]


async def test_a_large_body_stands_behind_its_head() -> None:
    wire, body = Wire(), bytes(LARGE_BYTES)
    answer = answering(wire)
    await begin(answer, (b"content-length", str(len(body)).encode()))
    await go_on(answer, body)
    [written] = wire.writes
    assert written.endswith(b"\r\n\r\n" + body)


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304), ("GET", 204)])
async def test_what_has_no_body_ends_with_its_head(method: str, status: int) -> None:
    wire = Wire()
    answer = answering(wire, method=method)
    await begin(answer, *([] if status == 204 else [LENGTH]), status=status)
    await go_on(answer, b"")
    assert b"".join(wire.writes).endswith(b"\r\n\r\n")
    assert b"chunked" not in b"".join(wire.writes)
    assert answer.response_complete


@pytest.mark.parametrize("given", [[], [(b"connection", b"close")]])
async def test_a_connection_that_does_not_go_on_says_so_once(given: list[tuple[bytes, bytes]]) -> None:
    wire = Wire()
    answer = answering(wire, keep_alive=bool(given))
    await begin(answer, LENGTH, *given)
    await go_on(answer, b"text")
    assert wire.writes[0].count(b"connection: close") == 1
    assert wire.closed


@pytest.mark.parametrize(
    "header", [(b"x", b"a\r\nset-cookie: b"), (b"x", b"a\nb"), (b"x", b"\0"), (b"x\r\ny", b"a"), (b"x", b"\x7f")]
)
async def test_a_header_that_would_be_two_is_never_sent(header: tuple[bytes, bytes]) -> None:
    wire = Wire()
    with pytest.raises(RuntimeError, match="control character"):
        await begin(answering(wire), LENGTH, header)
    assert wire.writes == []


@pytest.mark.parametrize("body", [b"texts", b"tex"])
async def test_a_body_of_another_length_is_refused(body: bytes) -> None:
    answer = answering(Wire())
    await begin(answer, LENGTH)
    with pytest.raises(RuntimeError, match="Content-Length"):
        await go_on(answer, body)


async def test_nothing_comes_out_of_its_turn() -> None:
    answer = answering(Wire())
    with pytest.raises(RuntimeError, match="does not belong"):
        await go_on(answer, b"text")
    await begin(answer, LENGTH)
    with pytest.raises(RuntimeError, match="does not belong"):
        await begin(answer, LENGTH)
    await go_on(answer, b"text")
    with pytest.raises(RuntimeError, match="does not belong"):
        await go_on(answer, b"text")


async def test_nothing_is_written_to_a_client_that_left() -> None:
    wire = Wire()
    answer = answering(wire)
    answer.disconnected = True
    await begin(answer, LENGTH)
    assert wire.writes == []
