"""The emulator behind a provider under test: its whole application in a thread, on the test's own clock."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from tests.emulator import workers
from tests.emulator.app import attended, create_app
from tests.emulator.clock import Clock
from tests.emulator.emulator import Emulator, assemble
from tests.emulator.faults import parse_rule
from tests.emulator.state import State
from tests.unit.components.runpod.clock import FakeClock
from tests.unit.emulator.harness import NOON, FakeRuntime

Result = TypeVar("Result")


class RunPod:
    """A RunPod of the test's own."""

    def __init__(self, emu: Emulator, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self.emu = emu
        self.url = url
        self._loop = loop

    def fail(self, *rules: dict[str, Any]) -> None:
        """Set the fault rules; without any there are none."""
        self.emu.faults.rules = [parse_rule(rule, self.emu.clock.now()) for rule in rules]

    def things(self) -> list[Any]:
        """What exists: pods, volumes, templates, credentials and endpoints of all accounts."""
        state = self.emu.state
        kept = [state.volumes, state.templates, state.registries, state.endpoints]
        others = [thing for kind in kept for thing in kind.values() if thing.ended_at is None]  # type: ignore[attr-defined]
        return [*state.living_pods(), *others]

    def ssh_keys(self) -> list[str]:
        """The SSH keys of all accounts."""
        return [key for account in self.emu.state.accounts.values() for key in account.ssh_keys]

    def calls(self, method: str, path: str) -> int:
        """How often a call came in."""
        return sum(entry["method"] == method and entry["path"].startswith(path) for entry in self.emu.requests)

    def workers(self, endpoint_id: str) -> int:
        """How many workers an endpoint has now."""
        return len(workers.living(self.emu.state.endpoints[endpoint_id], self.emu.clock.now()))

    def wake(self, _now: float = 0.0) -> None:
        """Let everybody go on who waited for the time that has come."""
        asyncio.run_coroutine_threadsafe(self._settle(), self._loop).result(30)

    async def _settle(self) -> None:
        self.emu.clock.advance(0)
        for _ in range(50):
            await asyncio.sleep(0)


@contextmanager
def emulated(folder: Path, clock: FakeClock) -> Iterator[RunPod]:
    """Run an emulator; at the end every call must have been as RunPod's document says."""
    emu = assemble(State.load(folder), Clock(base=lambda: NOON + clock.now), FakeRuntime(folder))
    ready, stop, found = threading.Event(), asyncio.Event(), list[RunPod]()

    async def serve() -> None:
        runner = web.AppRunner(create_app(emu, with_control=False))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        found.append(RunPod(emu, f"http://127.0.0.1:{port}", asyncio.get_running_loop()))
        async with attended(emu):
            ready.set()
            await stop.wait()
        await runner.cleanup()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=_run, args=(loop, serve()), name="emulator")
    thread.start()
    try:
        assert ready.wait(30)
        clock.on_sleep = found[0].wake
        yield found[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
    assert list(emu.violations) == []


def _run(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> None:
    try:
        loop.run_until_complete(work)
    finally:
        loop.close()
