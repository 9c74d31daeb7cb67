"""A public HTTP port of a pod: RunPod's proxy with its 502 and its 524.

One request a connection, passed on byte by byte once its head is read: bodies stream in both directions, and a
WebSocket needs nothing of its own.
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus

from tests.emulator import relay
from tests.emulator.tcp_proxy import Address, TcpProxy

ANSWER_SECONDS = 100.0
"""RunPod's proxy gives up on a request that nobody has begun to answer for so long."""

HEAD_END = b"\r\n\r\n"
OWN_HEADERS = (b"connection:", b"x-forwarded-for:", b"x-forwarded-proto:", b"keep-alive:")
ORIGIN_TIMEOUT = 524
"""Not a registered status: the code of the network in front of RunPod's proxy."""


class HttpProxy(TcpProxy):
    """Listens on a public port of loopback for one private HTTP port of a pod."""

    def __init__(self, address: Address, answer_seconds: float = ANSWER_SECONDS) -> None:
        super().__init__(address)
        self._answer_seconds = answer_seconds

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read the head of one request, pass it to the pod, and its answer back."""
        try:
            head = await reader.readuntil(HEAD_END)
        except asyncio.LimitOverrunError:
            return await answer(writer, 431, "the head of the request is too large")
        except asyncio.IncompleteReadError:
            return None
        try:
            upstream = await self.connect()
        except (OSError, TimeoutError, KeyError):
            return await answer(writer, 502, "nothing listens on this port of the pod")
        try:
            await self._exchange(rewrite(head, writer), (reader, writer), upstream)
        finally:
            upstream[1].close()

    async def _exchange(self, head: bytes, client: relay.Streams, upstream: relay.Streams) -> None:
        upstream[1].write(head)
        sending = asyncio.create_task(relay.pump(client[0], upstream[1]))
        try:
            first = await asyncio.wait_for(upstream[0].read(relay.CHUNK), self._answer_seconds)
            if not first:
                return await answer(client[1], 502, "the pod closed the connection without an answer")
            client[1].write(first)
            await relay.pump(upstream[0], client[1])
        except TimeoutError:
            await answer(client[1], ORIGIN_TIMEOUT, f"the pod did not answer within {self._answer_seconds:g} s")
        except ConnectionError:
            await answer(client[1], 502, "the pod broke the connection without an answer")
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


def rewrite(head: bytes, client: asyncio.StreamWriter) -> bytes:
    """Return the head as the pod gets it: where it came from, and one request a connection."""
    request, *headers = head.removesuffix(HEAD_END).split(b"\r\n")
    kept = [line for line in headers if not line.lower().startswith(OWN_HEADERS)]
    upgrade = any(line.lower().startswith(b"upgrade:") for line in headers)
    peer = str(client.get_extra_info("peername")[0]).encode()
    own = [
        b"X-Forwarded-For: " + peer,
        b"X-Forwarded-Proto: http",
        b"Connection: " + (b"Upgrade" if upgrade else b"close"),
    ]
    return b"\r\n".join([request, *kept, *own]) + HEAD_END


async def answer(writer: asyncio.StreamWriter, status: int, detail: str) -> None:
    """Answer in the pod's place."""
    phrase = "A Timeout Occurred" if status == ORIGIN_TIMEOUT else HTTPStatus(status).phrase
    body = json.dumps({"title": phrase, "status": status, "detail": detail}).encode()
    head = f"HTTP/1.1 {status} {phrase}\r\nContent-Type: application/problem+json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
    await writer.drain()
