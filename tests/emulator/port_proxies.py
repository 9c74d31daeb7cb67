"""The public ports of pods: HTTP ports for a pod's whole life, TCP ports for one start."""

from __future__ import annotations

from functools import partial

from tests.emulator.faults import Conditions
from tests.emulator.http_proxy import HttpProxy
from tests.emulator.public_ports import free_port, is_free
from tests.emulator.runtimes import Runtime
from tests.emulator.state import Pod, State
from tests.emulator.tcp_proxy import TcpProxy


class PortProxies:
    """Opens and closes the proxies of each pod."""

    def __init__(self, runtime: Runtime, state: State, conditions: Conditions) -> None:
        self._runtime = runtime
        self._state = state
        self._conditions = conditions
        self._http: dict[tuple[str, int], HttpProxy] = {}
        self._tcp: dict[tuple[str, int], TcpProxy] = {}

    async def open_http(self, pod: Pod) -> None:
        """Listen for every HTTP port the pod publishes, on the numbers it has; close those it publishes no more."""
        wanted = pod.private_ports("http")
        for private in [port for port in pod.http_ports if port not in wanted]:
            del pod.http_ports[private]
            await self._http.pop((pod.id, private)).stop()
        for private in wanted:
            if (pod.id, private) not in self._http:
                await self._open_http(pod, private)

    async def _open_http(self, pod: Pod, private: int) -> None:
        public = pod.http_ports.get(private)
        if public is None or not is_free(public):
            public = free_port(self._taken())
        proxy = HttpProxy(partial(self._runtime.address, pod.id, private))
        await proxy.start(public)
        pod.http_ports[private] = public
        self._http[pod.id, private] = proxy

    async def open_tcp(self, pod: Pod) -> None:
        """Listen for every TCP port the pod publishes, on new numbers."""
        former = set(pod.tcp_ports.values())
        pod.tcp_ports = {}
        for private in pod.private_ports("tcp"):
            pod.tcp_ports[private] = free_port(self._taken() | former)
            await self._open_tcp(pod, private)

    async def reopen_tcp(self, pod: Pod) -> None:
        """Listen again on the numbers that a running pod already has, unless somebody took one meanwhile."""
        for private, public in pod.tcp_ports.items():
            if not is_free(public):
                pod.tcp_ports[private] = free_port(self._taken())
            await self._open_tcp(pod, private)

    async def _open_tcp(self, pod: Pod, private: int) -> None:
        proxy = TcpProxy(partial(self._runtime.address, pod.id, private), partial(self._refuses, pod))
        await proxy.start(pod.tcp_ports[private])
        self._tcp[pod.id, private] = proxy

    async def close_tcp(self, pod: Pod) -> None:
        """Close the pod's TCP ports; their numbers are remembered, so that the next ones differ."""
        for key in [key for key in self._tcp if key[0] == pod.id]:
            await self._tcp.pop(key).stop()

    async def close(self, pod: Pod) -> None:
        """Close all ports of a pod."""
        await self.close_tcp(pod)
        for key in [key for key in self._http if key[0] == pod.id]:
            await self._http.pop(key).stop()

    async def close_all(self) -> None:
        """Close the ports of all pods."""
        for proxy in [*self._http.values(), *self._tcp.values()]:
            await proxy.stop()
        self._http.clear()
        self._tcp.clear()

    def _refuses(self, pod: Pod) -> bool:
        return self._conditions.hits(self._conditions.ssh_refused, pod)

    def _taken(self) -> set[int]:
        pods = list(self._state.living_pods())
        return {port for pod in pods for port in (*pod.http_ports.values(), *pod.tcp_ports.values())}
