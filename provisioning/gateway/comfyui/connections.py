"""Connections to ComfyUI that stay open, for requests that only fetch: no body, and an answer of any length.

Most requests are such. A general client costs each of them more than all the rest of the gateway does (see
tests/bench/gateway): it builds objects for redirects, cookies, codings and traces that are never used here. What
remains is a head that is written in one piece and an answer that httptools reads, the parser of uvicorn's own.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import urlencode, urlsplit

from provisioning.gateway.comfyui.answer import Connection
from provisioning.gateway.problems import Code, Problem

MAX_CONNECTIONS = 200
"""At once; who comes later waits. More than one owner may ask for, so that slow downloads leave some for the rest."""
CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 85.0
"""Longest silence of ComfyUI within an answer; below the gateway's own bound of 90 s."""
IDLE_SECONDS = 15.0
"""How long an unused connection is kept; ComfyUI's server closes them after 75 s."""
SWEEP_SECONDS = 1.0
MAX_KNOWN = 256
"""Paths whose requests are kept as they are written."""

_TARGET = re.compile(r"/[\x21-\x7e]*", re.ASCII)
_BREAKS = re.compile(r"[\r\n\0]")


class Connections:
    """The connections to one ComfyUI."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._common = (
            f" HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: comfyui-gateway\r\nAccept: */*\r\n"
            "Accept-Encoding: identity\r\n"
        )
        self._plain = lru_cache(MAX_KNOWN)(self._request)
        """The same for the same path, as most are that nothing is added to."""
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._places = asyncio.Semaphore(MAX_CONNECTIONS)
        self._sweeping: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Watch over the connections; called on the event loop that will be used."""
        self._sweeping = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)

    def close(self) -> None:
        """Cut every connection; whoever waits for an answer is told."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in (*self._idle, *self._busy):
            connection.fail(ConnectionError("the gateway stops"))
        self._idle = []

    async def get(
        self, path: str, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Connection:
        """Ask for something and return the connection once the head of the answer has arrived; `release` it after.

        Raises Problem UPSTREAM_UNAVAILABLE when ComfyUI takes no connection, TimeoutError when it stays silent,
        ConnectionError when what it says is no answer.
        """
        request = self._request(path, params, headers) if params or headers else self._plain(path)
        await self._places.acquire()
        try:
            return await self._ask(request)
        except BaseException:
            self._places.release()
            raise

    async def _ask(self, request: bytes) -> Connection:
        while True:
            is_new = not self._idle
            connection = await self._connect() if is_new else self._idle.pop()
            self._busy.add(connection)
            try:
                await connection.ask(request)
            except BaseException as error:
                self._busy.discard(connection)
                connection.close()
                # Closed while it was not used; what only fetches may be asked again (RFC 9112, 9.3.1).
                if is_new or connection.has_heard or not isinstance(error, ConnectionError):
                    raise
            else:
                return connection

    def release(self, connection: Connection) -> None:
        """Take a connection back; one whose answer was not read to its end is cut."""
        self._busy.discard(connection)
        self._places.release()
        if connection.is_reusable:
            self._idle.append(connection)
        else:
            connection.close()

    async def _connect(self) -> Connection:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await asyncio.get_running_loop().create_connection(Connection, self._host, self._port)
        except TimeoutError:
            raise
        except OSError as error:
            raise Problem(Code.UPSTREAM_UNAVAILABLE) from error
        return connection

    def _request(
        self, path: str, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        target = f"{path}?{urlencode(params)}" if params else path
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()]) if headers else ""
        # Checked although both come from checked parts: a line break would be a second request.
        if _TARGET.fullmatch(target) is None or any(map(_BREAKS.search, (headers or {}).values())):
            raise Problem(Code.INVALID_REQUEST)
        return f"GET {target}{self._common}{lines}\r\n".encode("latin-1", "replace")

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in [each for each in self._busy if each.is_silent_since(now - SILENCE_SECONDS)]:
            connection.fail(TimeoutError())
        kept = [each for each in self._idle if each.is_reusable and each.heard_at > now - IDLE_SECONDS]
        for connection in set(self._idle) - set(kept):
            connection.close()
        self._idle = kept
        self._sweeping = loop.call_later(SWEEP_SECONDS, self._sweep)
