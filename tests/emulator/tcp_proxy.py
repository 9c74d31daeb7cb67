"""The proxy of a pod's public TCP port."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.emulator import relay

Address = Callable[[], tuple[str, int]]
"""Where the pod's port is now; it may move when the pod is reset."""

CONNECT_SECONDS = 10.0


class TcpProxy:
    """Listens on a public port of loopback for one private port of a pod."""

    def __init__(self, address: Address, refuses: Callable[[], bool] = lambda: False) -> None:
        self._address = address
        self._refuses = refuses
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, port: int) -> None:
        """Listen on 127.0.0.1:port; OSError when something else does."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port)

    async def stop(self) -> None:
        """Listen no more and end what is connected."""
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses():
            return writer.transport.abort()
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        try:
            await self.serve(reader, writer)
        except (ConnectionError, OSError, TimeoutError, KeyError, asyncio.CancelledError):
            # The pod does not answer, or one side went away: to the client that is a closed connection.
            pass
        finally:
            writer.close()
        return None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect to the pod and pass bytes both ways."""
        upstream = await self.connect()
        try:
            await relay.join((reader, writer), upstream)
        finally:
            upstream[1].close()

    async def connect(self) -> relay.Streams:
        """Return a connection to the pod's port; OSError or TimeoutError when nothing answers."""
        return await asyncio.wait_for(asyncio.open_connection(*self._address()), CONNECT_SECONDS)
