"""The emulator's address inside a pod that has its own loopback."""

from __future__ import annotations

from aiohttp import web

from tests.emulator.runtimes import Runtime


class PodListeners:
    """Listens in the pods' networks, where the runtime gives a socket for it."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._runner: web.AppRunner | None = None
        self._port = 0
        self._sites: dict[str, web.SockSite] = {}

    def serve(self, runner: web.AppRunner, port: int) -> None:
        """Say what is to be served on which port, from now on."""
        self._runner = runner
        self._port = port

    async def open(self, pod_id: str) -> None:
        """Serve inside a pod's network; nothing to do where loopback is shared."""
        await self.close(pod_id)
        if self._runner is None:
            return
        listener = await self._runtime.inner_listener(pod_id, self._port)
        if listener is not None:
            self._sites[pod_id] = web.SockSite(self._runner, listener)
            await self._sites[pod_id].start()

    async def close(self, pod_id: str) -> None:
        """Serve no more inside a pod's network."""
        if site := self._sites.pop(pod_id, None):
            await site.stop()
