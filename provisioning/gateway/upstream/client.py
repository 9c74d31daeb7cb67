"""The client of ComfyUI: HTTP over loopback and one WebSocket."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import aiohttp
import orjson
from yarl import URL

from provisioning.gateway.core.problems import Code, Problem

CHUNK_BYTES = 256 * 1024
SMALL_BYTES = 64 * 1024
"""A body up to this length is passed on in one piece, which is cheaper than streaming it."""
MAX_JSON_BYTES = 64 * 1024 * 1024
"""Longest answer that is read whole: ComfyUI is not trusted with the gateway's memory."""
MAX_MESSAGE_BYTES = 64 * 1024 * 1024

_TARGET = re.compile(r"/[\x21-\x7e]*", re.ASCII)
_BREAKS = re.compile(r"[\r\n\0]")

Body = bytes | AsyncIterator[bytes] | aiohttp.FormData


class UpstreamLimits(NamedTuple):
    """How long a request to ComfyUI may take, in seconds, and how many are sent at once; later ones wait."""

    connect: float = 5.0
    silence: float = 85.0
    """Longest silence of ComfyUI within an answer; below the gateway's own bound of 90 s."""
    connections: int = 200
    """More than one owner may use, so that slow downloads leave some for the others."""
    json_bytes: int = MAX_JSON_BYTES


DEFAULT_LIMITS = UpstreamLimits()


class Reply(NamedTuple):
    """A response whose body is still arriving."""

    status: int
    headers: Mapping[str, str]
    """Headers by lower-case names."""
    read: Callable[[], Awaitable[bytes]]
    """Returns the next chunk of the body, empty at its end; raises Problem UPSTREAM_*."""
    max_bytes: int = MAX_JSON_BYTES
    """Longest body that `whole` returns."""

    @property
    async def chunks(self) -> AsyncIterator[bytes]:
        """The chunks of the body."""
        while chunk := await self.read():
            yield chunk

    async def whole(self, most: int | None = None) -> bytes:
        """Return the body in one piece; raises Problem UPSTREAM_ERROR for over `most` bytes, else `max_bytes`."""
        bound = self.max_bytes if most is None else most
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
        """Return the whole body when its length is given and short, else None; None for a response to HEAD."""
        length = self.headers.get("content-length", "")
        if not length.isdigit() or int(length) > SMALL_BYTES:
            return None
        body = await self.whole()
        return body if body or length == "0" else None


class Request(NamedTuple):
    """A request to ComfyUI; it contains nothing of the client's request but these members."""

    method: str
    path: str
    """Percent-encoded; built by the gateway from a route and checked parts."""
    params: Mapping[str, str] | None = None
    headers: Mapping[str, str] | None = None
    body: Body | None = None


class ComfyUIClient(Protocol):
    """Sends requests to ComfyUI and receives its messages."""

    async def start(self) -> None:
        """Open the connection pool; called on the event loop that will use it."""

    async def close(self) -> None:
        """Close every connection."""

    def stream(self, request: Request) -> contextlib.AbstractAsyncContextManager[Reply]:
        """Send a request and yield the response while its body arrives; raises Problem UPSTREAM_*."""

    async def call(self, request: Request) -> tuple[int, Any]:
        """Send a request and return status and parsed JSON (None when it is not JSON); raises Problem UPSTREAM_*."""

    async def get_json(self, path: str) -> Any:  # noqa: ANN401 - any JSON
        """Return the JSON at a path; raises Problem UPSTREAM_* also for every status but 200."""

    def messages(self, client_id: str) -> contextlib.AbstractAsyncContextManager[AsyncIterator[str | bytes]]:
        """Connect to the WebSocket and yield its messages; raises Problem UPSTREAM_*."""


class ComfyUIHttpClient:
    """The client of a ComfyUI at a URL."""

    def __init__(self, url: str, limits: UpstreamLimits = DEFAULT_LIMITS) -> None:
        self._base = url.rstrip("/")
        self._limits = limits
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the connection pool."""
        limits = self._limits
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            # On a reused connection, unsolicited data of ComfyUI would reach the next request, perhaps another user's.
            connector=aiohttp.TCPConnector(limit=limits.connections, force_close=True),
            headers={"Accept-Encoding": "identity", "User-Agent": "comfyui-gateway"},
            read_bufsize=CHUNK_BYTES,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits.connect, sock_read=limits.silence),
        )

    async def close(self) -> None:
        """Close the connection pool; pending requests fail."""
        if self._session is not None:
            await self._session.close()

    @contextlib.asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[Reply]:
        """Send a request and yield the response while its body arrives."""
        with translated_errors():
            answer = await self._send(request)
        async with answer:
            if answer.status < 200:
                raise Problem(Code.UPSTREAM_ERROR)
            headers = {name.lower(): value for name, value in answer.headers.items()}
            yield Reply(answer.status, headers, functools.partial(_read, answer), self._limits.json_bytes)

    async def _send(self, request: Request) -> aiohttp.ClientResponse:
        _check(request)
        return await self._open().request(
            request.method,
            URL(self._base + request.path, encoded=True),
            params=request.params,
            headers=request.headers,
            data=request.body,
            allow_redirects=False,
        )

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
        """Connect to the WebSocket and yield its messages."""
        url = URL(self._base + "/ws").update_query(clientId=client_id)
        with translated_errors():
            async with self._open().ws_connect(url, max_msg_size=MAX_MESSAGE_BYTES, heartbeat=20, compress=0) as socket:
                # With this flag, previews carry the id of their job.
                features = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
                await socket.send_json(features)
                yield _received(socket)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise Problem(Code.UPSTREAM_UNAVAILABLE)
        return self._session


def upload_form(fields: Mapping[str, str], filename: str, content: AsyncIterator[bytes]) -> aiohttp.FormData:
    """Return a form that uploads a file to ComfyUI; it contains nothing of a client's own framing."""
    # ComfyUI does not unquote names: a quoted name would be another name.
    form = aiohttp.FormData(fields, quote_fields=False)
    form.add_field("image", content, filename=filename, content_type="application/octet-stream")
    return form


def _check(request: Request) -> None:
    """Raise Problem INVALID_REQUEST for a path or header with a line break; callers check both as well."""
    if _TARGET.fullmatch(request.path) is None or any(map(_BREAKS.search, (request.headers or {}).values())):
        raise Problem(Code.INVALID_REQUEST)


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    with translated_errors():
        return await answer.content.readany()


async def _received(socket: aiohttp.ClientWebSocketResponse) -> AsyncIterator[str | bytes]:
    async for message in socket:
        if message.type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
            yield message.data


@contextlib.contextmanager
def translated_errors() -> Iterator[None]:
    """Translate the errors of aiohttp into Problems."""
    try:
        yield
    except aiohttp.ClientConnectorError as error:
        raise Problem(Code.UPSTREAM_UNAVAILABLE) from error
    except TimeoutError as error:
        raise Problem(Code.UPSTREAM_TIMEOUT) from error
    except (aiohttp.ClientError, ConnectionError) as error:
        raise Problem(Code.UPSTREAM_ERROR) from error
