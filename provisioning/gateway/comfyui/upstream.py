"""The one ComfyUI behind the gateway, over loopback HTTP and one WebSocket."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
import orjson
from yarl import URL

from provisioning.gateway.problems import Code, Problem

CHUNK_BYTES = 256 * 1024
SMALL_BYTES = 64 * 1024
"""A body up to this length goes on in one piece: cheaper than to hand it on as it arrives."""
MAX_JSON_BYTES = 64 * 1024 * 1024
"""Longest JSON answer that is read: ComfyUI is not trusted with the gateway's memory."""
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
SILENCE_SECONDS = 85.0
"""Longest silence of ComfyUI within an answer; below the gateway's own bound of 90 s."""

Body = bytes | AsyncIterator[bytes]


@dataclass(frozen=True)
class Reply:
    """An answer whose body is still arriving."""

    status: int
    headers: Mapping[str, str]
    content: aiohttp.StreamReader

    @property
    def chunks(self) -> AsyncIterator[bytes]:
        """The body, piece by piece."""
        return self.content.iter_chunked(CHUNK_BYTES)

    async def small(self) -> bytes | None:
        """Return the whole body when it is known to be short, else None."""
        length = self.headers.get("content-length", "")
        return await self.content.read() if length.isdigit() and int(length) <= SMALL_BYTES else None


@dataclass(frozen=True)
class Request:
    """What is asked of ComfyUI; nothing of the client's request is in it but what is named here."""

    method: str
    path: str
    """Encoded; made by us from a route and checked parts."""
    params: Mapping[str, str] | None = None
    headers: Mapping[str, str] | None = None
    body: Body | None = None


class Upstream(Protocol):
    """What the gateway needs of a ComfyUI; several could stand behind one such object."""

    async def start(self) -> None:
        """Prepare; called on the event loop that will be used."""

    async def close(self) -> None:
        """Let go of every connection."""

    def stream(self, request: Request) -> contextlib.AbstractAsyncContextManager[Reply]:
        """Send a request and hand over the answer while it arrives; raises Problem UPSTREAM_*."""

    async def call(self, request: Request) -> tuple[int, Any]:
        """Send a request and return status and parsed JSON (None when it is not JSON); raises Problem UPSTREAM_*."""

    async def get_json(self, path: str) -> Any:  # noqa: ANN401 - any JSON
        """Return the JSON at a path; raises Problem UPSTREAM_* also for every status but 200."""

    def messages(self, client_id: str) -> contextlib.AbstractAsyncContextManager[AsyncIterator[str | bytes]]:
        """Connect as a WebSocket client and hand over what it hears; raises Problem UPSTREAM_*."""


class ComfyUI:
    """The Upstream that is a ComfyUI at an address."""

    def __init__(self, url: str) -> None:
        self._base = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the connection pool."""
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(limit=200),
            headers={"Accept-Encoding": "identity", "User-Agent": "comfyui-gateway"},
            read_bufsize=CHUNK_BYTES,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=SILENCE_SECONDS),
        )

    async def close(self) -> None:
        """Close the connection pool."""
        if self._session is not None:
            await self._session.close()

    @contextlib.asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[Reply]:
        """Send a request and hand over the answer while it arrives."""
        with translated_errors():
            async with self._open().request(
                request.method,
                URL(self._base + request.path, encoded=True),
                params=request.params,
                headers=request.headers,
                data=request.body,
                allow_redirects=False,
            ) as answer:
                yield Reply(answer.status, answer.headers, answer.content)

    async def call(self, request: Request) -> tuple[int, Any]:
        """Send a request and return status and parsed JSON."""
        async with self.stream(request) as reply:
            body = bytearray()
            async for chunk in reply.chunks:
                body += chunk
                if len(body) > MAX_JSON_BYTES:
                    raise Problem(Code.UPSTREAM_ERROR)
        with contextlib.suppress(orjson.JSONDecodeError):
            return reply.status, orjson.loads(body)
        return reply.status, None

    async def get_json(self, path: str) -> Any:  # noqa: ANN401 - any JSON
        """Return the JSON at a path."""
        status, answer = await self.call(Request("GET", path))
        if status != 200:
            raise Problem(Code.UPSTREAM_ERROR)
        return answer

    @contextlib.asynccontextmanager
    async def messages(self, client_id: str) -> AsyncIterator[AsyncIterator[str | bytes]]:
        """Connect as a WebSocket client and hand over what it hears."""
        url = URL(self._base + "/ws").update_query(clientId=client_id)
        with translated_errors():
            async with self._open().ws_connect(url, max_msg_size=MAX_MESSAGE_BYTES, heartbeat=20, compress=0) as socket:
                # Previews then come with the id of the job they belong to.
                features = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
                await socket.send_json(features)
                yield _received(socket)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise Problem(Code.UPSTREAM_UNAVAILABLE)
        return self._session


async def _received(socket: aiohttp.ClientWebSocketResponse) -> AsyncIterator[str | bytes]:
    async for message in socket:
        if message.type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
            yield message.data


@contextlib.contextmanager
def translated_errors() -> Iterator[None]:
    """Turn what the client library raises into a Problem."""
    try:
        yield
    except aiohttp.ClientConnectorError as error:
        raise Problem(Code.UPSTREAM_UNAVAILABLE) from error
    except TimeoutError as error:
        raise Problem(Code.UPSTREAM_TIMEOUT) from error
    except (aiohttp.ClientError, ConnectionError) as error:
        raise Problem(Code.UPSTREAM_ERROR) from error
