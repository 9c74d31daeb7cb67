"""A RunPod in a thread of the test's own process: the emulator's real application, with containers that run nothing.

What is proved here is what bills, and a pod bills from its creation on, whatever runs in it. Time is the machine's for
tests with the engine, and stands still but for `pass_time` for those that drive the provider alone.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from components.runpod.marker import Marker, marker_of
from tests.emulator.app import attended, create_app
from tests.emulator.clock import Clock
from tests.emulator.emulator import Emulator, assemble
from tests.emulator.faults import Conditions, parse_conditions, parse_rule
from tests.emulator.state import Pod, State, Volume
from tests.unit.emulator.harness import FakeRuntime

Result = TypeVar("Result")


class RunPod:
    """What the account really holds, without lag and without faults; safe to use from any thread."""

    def __init__(self, url: str, emu: Emulator, loop: asyncio.AbstractEventLoop) -> None:
        self.url, self.emu, self.loop = url, emu, loop

    def do(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def tell(self, work: Callable[[], Result]) -> Result:
        """Do something where the emulator lives, so that nothing else happens to it meanwhile."""

        async def inside() -> Result:
            return work()

        return self.do(inside())

    def pods(self) -> list[Pod]:
        return self.tell(lambda: list(self.emu.state.living_pods()))

    def volumes(self) -> list[Volume]:
        return self.tell(lambda: list(self.emu.state.living_volumes()))

    def holds(self) -> set[str]:
        """Everything that bills."""
        return {pod.id for pod in self.pods()} | {volume.id for volume in self.volumes()}

    def markers(self) -> dict[str, Marker | None]:
        named = {volume.id: marker_of(volume.name) for volume in self.volumes()}
        return named | {pod.id: marker_of(pod.name, pod.env) for pod in self.pods()}

    def faults(self, *rules: dict[str, Any]) -> None:
        """Replace the fault schedule."""
        parsed = [parse_rule(rule, self.emu.clock.now()) for rule in rules]
        self.tell(lambda: self.emu.faults.rules.__setitem__(slice(None), parsed))

    def acted(self) -> int:
        """How often the present rules acted."""
        return self.tell(lambda: sum(rule.acted for rule in self.emu.faults.rules))

    def conditions(self, **changes: object) -> None:
        parse_conditions(changes)
        self.tell(lambda: vars(self.emu.conditions).update(changes))

    def requests(self, method: str = "", path: str = "") -> list[dict[str, Any]]:
        calls = self.tell(lambda: [dict(entry) for entry in self.emu.requests])
        return [call for call in calls if method in ("", call["method"]) and path in ("", call["path"])]

    def forget_requests(self) -> None:
        self.tell(self.emu.requests.clear)

    def pass_time(self, seconds: float) -> None:
        """Move the clock, and let everybody who waited for it go on."""

        async def moved() -> None:
            self.emu.clock.advance(seconds)
            for _ in range(50):
                await asyncio.sleep(0)

        self.do(moved())

    def lose(self, pod: Pod) -> None:
        """End a pod behind everybody's back."""
        self.do(self.emu.lifecycle.terminate(pod))

    def stop(self, pod: Pod, status: str = "EXITED") -> None:
        self.do(self.emu.lifecycle.halt(pod, status))

    def drift(self, pod: Pod, **changes: object) -> None:
        self.tell(lambda: vars(pod).update(changes))

    def calm(self) -> None:
        """End all faults, conditions and shortages."""
        self.faults()
        self.tell(self.emu.state.market.clear)
        self.conditions(**asdict(Conditions()))

    def clear(self) -> None:
        """End everything, so that a test that fails does so alone."""
        self.calm()
        for pod in self.pods():
            self.lose(pod)
        for volume in self.volumes():
            self.tell(partial(setattr, volume, "ended_at", self.emu.clock.now()))
        self.forget_requests()


@contextmanager
def in_thread(folder: Path, base: Callable[[], float] = time.time) -> Iterator[RunPod]:
    """Run an emulator; at the end every call must have been as RunPod's document says."""
    ready: list[RunPod] = []
    started, ended = threading.Event(), asyncio.Event()

    async def serve() -> None:
        state = State.load(folder)
        emu = assemble(state, Clock(base), FakeRuntime(folder))
        runner = web.AppRunner(create_app(emu), handle_signals=False, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        async with attended(emu):
            ready.append(RunPod(f"http://127.0.0.1:{port}", emu, asyncio.get_running_loop()))
            started.set()
            await ended.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="runpod")
    thread.start()
    assert started.wait(60), "the emulator does not start"
    runpod = ready[0]
    try:
        yield runpod
        assert runpod.tell(lambda: list(runpod.emu.violations)) == []
    finally:
        runpod.loop.call_soon_threadsafe(ended.set)
        thread.join(30)
