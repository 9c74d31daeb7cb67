"""A pod from its creation to its termination: container, ports and billing."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections import defaultdict
from collections.abc import Awaitable
from contextlib import suppress
from functools import partial

from tests.emulator.clock import Clock
from tests.emulator.container import spec_of
from tests.emulator.faults import Conditions
from tests.emulator.market import disk_price, holds
from tests.emulator.pod_listeners import PodListeners
from tests.emulator.podlog import Logs
from tests.emulator.port_proxies import PortProxies
from tests.emulator.runtimes import Runtime, RuntimeFailureError
from tests.emulator.state import Pod, Span, State

WATCH_SECONDS = 1.0
RESTART_SECONDS = 2.0
"""Between the end of a container's first process and its restart, by the emulator's clock."""

log = logging.getLogger("emulator")


class Lifecycle:
    """Carries pods from one status to the next; one change of a pod at a time."""

    def __init__(self, state: State, clock: Clock, runtime: Runtime, conditions: Conditions, logs: Logs) -> None:
        self._state = state
        self._clock = clock
        self._runtime = runtime
        self._conditions = conditions
        self._logs = logs
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._port_proxies = PortProxies(runtime, state, conditions)
        self.pod_listeners = PodListeners(runtime)

    async def resume(self) -> None:
        """Take up the pods of an earlier emulator: what still runs goes on, what does not is EXITED."""
        living = {pod.id: pod for pod in self._state.living_pods()}
        await self._runtime.adopt(
            {key: spec_of(pod, self._state, self._conditions) for key, pod in living.items() if pod.started_at}
        )
        for pod in living.values():
            await self._port_proxies.open_http(pod)
            if pod.started_at and (await self._runtime.status(pod.id)).running:
                await self._port_proxies.reopen_tcp(pod)
                await self.pod_listeners.open(pod.id)
            elif pod.started_at:
                self._logs.system(pod.id, "the machine of the pod was down; the pod is stopped")
                self._settle(pod, "EXITED")
            elif holds(pod):
                self.launch(pod)
        self._state.save()

    async def watch(self) -> None:
        """Collect logs and restart containers whose first process has ended, for ever."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            for pod in list(self._state.living_pods()):
                await self.look_after(pod)

    async def look_after(self, pod: Pod) -> None:
        """Collect the logs of a pod; restart its container when it has ended by itself."""
        if pod.status != "RUNNING" or pod.started_at is None:
            return
        self._logs.collect(pod.id)
        status = await self._runtime.status(pod.id)
        if status.running or self._locks[pod.id].locked() or pod.started_at is None:
            return
        self._logs.system(pod.id, f"container exited with code {status.exit_code}; it is started again")
        pod.started_at = None
        self._state.save()
        self._run(pod, self._restart(pod))

    async def create(self, pod: Pod) -> None:
        """Begin a new pod's life: it is recorded before the answer."""
        await self._port_proxies.open_http(pod)
        self.launch(pod)

    async def update(self, pod: Pod, *, resets: bool) -> None:
        """Take up what was changed of a pod; a reset is for one that runs."""
        if resets and holds(pod):
            return await self.reset(pod)
        await self._port_proxies.open_http(pod)
        self._settle(pod, pod.status)
        return None

    def launch(self, pod: Pod) -> None:
        """Bring a pod up: RUNNING first, its container a little later."""
        self._settle(pod, pod.status)
        self._run(pod, self._bring_up(pod))

    async def halt(self, pod: Pod, status: str) -> None:
        """End the pod's container; its disk is gone, its volume stays."""
        async with self._locks[pod.id]:
            await self._cancel(pod)
            await self._stop_container(pod)
            self._settle(pod, status)

    async def reset(self, pod: Pod) -> None:
        """Start the pod's container again from its image: fresh disk, new TCP ports."""
        await self.halt(pod, "STARTING")
        await self._port_proxies.open_http(pod)
        self._logs.system(pod.id, "the container is reset")
        self.launch(pod)

    async def terminate(self, pod: Pod) -> None:
        """End the pod for good; only its bill remains."""
        async with self._locks[pod.id]:
            await self._cancel(pod)
            # Remembered first: killed in the middle, the next emulator clears the rest away.
            pod.ended_at = self._clock.now()
            self._settle(pod, "TERMINATED")
            await self._stop_container(pod)
            await self._port_proxies.close(pod)
            await self._runtime.remove(pod.id)
            self._logs.forget(pod.id)
            await asyncio.to_thread(shutil.rmtree, self._state.directory / "volume-disks" / pod.id, ignore_errors=True)
        self._locks.pop(pod.id, None)

    async def close(self) -> None:
        """Stop looking after pods; they go on."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._port_proxies.close_all()

    async def _bring_up(self, pod: Pod) -> None:
        await self._clock.sleep(self._conditions.provisioning_seconds)
        self._settle(pod, "RUNNING")
        if self._conditions.hits(self._conditions.never_ready, pod):
            return
        await self._clock.sleep(self._conditions.starting_seconds)
        async with self._locks[pod.id]:
            await self._start_container(pod)

    async def _restart(self, pod: Pod) -> None:
        await self._clock.sleep(RESTART_SECONDS)
        async with self._locks[pod.id]:
            await self._port_proxies.close_tcp(pod)
            await self._start_container(pod)

    async def _start_container(self, pod: Pod) -> None:
        try:
            await self._port_proxies.open_tcp(pod)
            await self._runtime.start(spec_of(pod, self._state, self._conditions))
            await self.pod_listeners.open(pod.id)
        except (RuntimeFailureError, OSError, ValueError) as error:
            log.exception("pod %s does not start", pod.id)
            self._logs.system(pod.id, f"the container does not start: {error}")
            return self._settle(pod, "ERROR")
        pod.started_at = self._clock.now()
        pod.first_started_at = pod.first_started_at or pod.started_at
        pod.gpus_hidden_until = pod.started_at + self._conditions.gpus_late_seconds
        self._logs.system(pod.id, "the container is started")
        self._state.save()
        return None

    async def _stop_container(self, pod: Pod) -> None:
        pod.started_at = None
        await self._port_proxies.close_tcp(pod)
        await self.pod_listeners.close(pod.id)
        self._logs.collect(pod.id)
        await self._runtime.stop(pod.id)

    def _settle(self, pod: Pod, status: str) -> None:
        """Set the status, and with it what the pod costs from now on."""
        pod.status = status
        rates = (pod.price, disk_price(pod)) if holds(pod) else (0.0, disk_price(pod))
        if status == "TERMINATED":
            rates = (0.0, 0.0)
        bill(pod, *rates, self._clock.now())
        self._state.save()

    def _run(self, pod: Pod, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks[pod.id] = task
        task.add_done_callback(partial(self._done, pod.id))

    def _done(self, pod_id: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(pod_id) is task:
            del self._tasks[pod_id]
        if not task.cancelled() and (error := task.exception()):
            log.error("pod %s: %s", pod_id, error, exc_info=error)

    async def _cancel(self, pod: Pod) -> None:
        """End what is under way for the pod; called with its lock held, so a container is never half started."""
        if task := self._tasks.get(pod.id):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def bill(pod: Pod, compute: float, disk: float, now: float) -> None:
    """Bill a pod at these rates (USD per hour) from now on."""
    gpu, cpu = (compute, 0.0) if pod.gpu else (0.0, compute)
    last = pod.spans[-1] if pod.spans else None
    if last and last.end is None:
        if (last.gpu, last.cpu, last.disk) == (gpu, cpu, disk):
            return
        last.end = now
    if gpu or cpu or disk:
        pod.spans.append(Span(now, None, gpu, cpu, disk))
