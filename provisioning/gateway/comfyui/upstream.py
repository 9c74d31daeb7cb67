"""The one ComfyUI behind the gateway, over loopback HTTP and one WebSocket."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Protocol

import aiohttp
import orjson
from yarl import URL

from provisioning.gateway.comfyui.answer import Connection
from provisioning.gateway.comfyui.connections import CONNECT_SECONDS, SILENCE_SECONDS, Connections
from provisioning.gateway.problems import Code, Problem

CHUNK_BYTES = 256 * 1024
SMALL_BYTES = 64 * 1024
"""A body up to this length goes on in one piece: cheaper than to hand it on as it arrives."""
MAX_JSON_BYTES = 64 * 1024 * 1024
"""Longest answer that is read whole: ComfyUI is not trusted with the gateway's memory."""
MAX_MESSAGE_BYTES = 64 * 1024 * 1024

Body = bytes | AsyncIterator[bytes]


class Reply(NamedTuple):
    """An answer whose body is still arriving."""

    status: int
    headers: Mapping[str, str]
    """By their names in lower case."""
    read: Callable[[], Awaitable[bytes]]
    """Gives the next piece of the body, empty at its end; raises Problem UPSTREAM_*."""

    @property
    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, piece by piece."""
        while chunk := await self.read():
            yield chunk

    async def whole(self, most: int | None = None) -> bytes:
        """Return the body in one piece; raises Problem UPSTREAM_ERROR for over `most` bytes, else MAX_JSON_BYTES."""
        bound = MAX_JSON_BYTES if most is None else most
        length = self.headers.get("content-length", "")
        expected = int(length) if length.isdigit() else -1
        pieces, size = [], 0
        while size != expected and (piece := await self.read()):
            pieces.append(piece)
            size += len(piece)
            if size > bound:
                raise Problem(Code.UPSTREAM_ERROR)
        return b"".join(pieces)

    async def small(self) -> bytes | None:
        """Return the whole body when it is known to be short, else None; None for an answer to HEAD, which has none."""
        length = self.headers.get("content-length", "")
        if not length.isdigit() or int(length) > SMALL_BYTES:
            return None
        body = await self.whole()
        return body if body or length == "0" else None


class Request(NamedTuple):
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
        self._connections = Connections(self._base)

    async def start(self) -> None:
        """Open the connection pools."""
        self._connections.start()
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(limit=200),
            headers={"Accept-Encoding": "identity", "User-Agent": "comfyui-gateway"},
            read_bufsize=CHUNK_BYTES,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS),
        )

    async def close(self) -> None:
        """Close the connection pools."""
        self._connections.close()
        if self._session is not None:
            await self._session.close()

    def stream(self, request: Request) -> contextlib.AbstractAsyncContextManager[Reply]:
        """Send a request and hand over the answer while it arrives."""
        if request.method == "GET" and request.body is None:
            return _Fetching(self._connections, request)
        return self._stream(request)

    @contextlib.asynccontextmanager
    async def _stream(self, request: Request) -> AsyncIterator[Reply]:
        with translated_errors():
            async with self._open().request(
                request.method,
                URL(self._base + request.path, encoded=True),
                params=request.params,
                headers=request.headers,
                data=request.body,
                allow_redirects=False,
            ) as answer:
                headers = {name.lower(): value for name, value in answer.headers.items()}
                yield Reply(answer.status, headers, answer.content.readany)

    async def call(self, request: Request) -> tuple[int, Any]:
        """Send a request and return status and parsed JSON."""
        async with self.stream(request) as reply:
            body = await reply.whole()
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


class _Fetching:
    """A request that only fetches, on a connection of our own; a class, since a generator costs several times more."""

    def __init__(self, connections: Connections, request: Request) -> None:
        self._connections = connections
        self._request = request
        self._connection: Connection | None = None

    async def __aenter__(self) -> Reply:
        request = self._request
        try:
            connection = await self._connections.get(request.path, request.params, request.headers)
        except (TimeoutError, ConnectionError) as error:
            raise _problem(error) from error
        self._connection = connection
        return Reply(connection.status, connection.headers, self._read)

    async def _read(self) -> bytes:
        if self._connection is None:
            return b""
        try:
            return await self._connection.read()
        except (TimeoutError, ConnectionError) as error:
            raise _problem(error) from error

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._connections.release(self._connection)


async def _received(socket: aiohttp.ClientWebSocketResponse) -> AsyncIterator[str | bytes]:
    async for message in socket:
        if message.type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
            yield message.data


@contextlib.contextmanager
def translated_errors() -> Iterator[None]:
    """Turn what the client library raises into a Problem."""
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
        raise _problem(error) from error


def _problem(error: Exception) -> Problem:
    if isinstance(error, aiohttp.ClientConnectorError):
        return Problem(Code.UPSTREAM_UNAVAILABLE)
    return Problem(Code.UPSTREAM_TIMEOUT if isinstance(error, TimeoutError) else Code.UPSTREAM_ERROR)
