"""The emulator in the foreground: one state directory and one port, until a signal ends it."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web

from tests.emulator import files, runtime_selection
from tests.emulator.app import attended, create_app
from tests.emulator.clock import Clock
from tests.emulator.emulator import assemble
from tests.emulator.runtimes import Runtime
from tests.emulator.state import State

HOST = "127.0.0.1"
SHUTDOWN_SECONDS = 1.0
"""Given to open streams when the emulator ends; they would otherwise hold it for ever."""

BACKLOG = 128

log = logging.getLogger("emulator")


class UnavailableError(Exception):
    """The emulator cannot be had; the text says why and what to change."""


def source_hash() -> str:
    """Return a hash of the emulator's source and of what its file server publishes."""
    digest, tests = hashlib.sha256(), Path(__file__).parents[1]
    for package in ("emulator", "comfyui"):
        for file in sorted((tests / package).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def sole_user(directory: Path) -> Iterator[None]:
    """Hold a state directory, so that two emulators never write to one; UnavailableError when it is held."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (directory / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UnavailableError(
                f"another emulator uses {directory}; "
                "stop it with `python -m tests.emulator stop`, or choose another --state"
            ) from error
        yield


def serve(directory: Path, port: int, wanted: str) -> None:
    """Serve until SIGTERM or SIGINT; UnavailableError when the port, the state or the runtime cannot be had."""
    with sole_user(directory):
        state = State.load(directory)
        try:
            runtime, reason = runtime_selection.select(settle_runtime(state, wanted), directory)
        except ValueError as error:
            raise UnavailableError(str(error)) from error
        state.runtime = runtime.name
        log.info("runtime %s (%s)", runtime.name, reason)
        for limit in runtime.limits:
            log.info("it does not show: %s", limit)
        asyncio.run(run(state, port, runtime, reason))


def settle_runtime(state: State, wanted: str) -> str:
    """Return the runtime to choose: pods stay in the one that made them; UnavailableError when another is asked for."""
    made_by = state.runtime if any(state.living_pods()) else ""
    if wanted not in ("auto", made_by or wanted):
        raise UnavailableError(
            f"the pods in {state.directory} were made by the {made_by} runtime, not by {wanted}; "
            f"use --runtime {made_by}, or end them first: `python -m tests.emulator stop --pods`"
        )
    return made_by or wanted


async def run(state: State, port: int, runtime: Runtime, reason: str) -> None:
    """Run the emulator until a signal ends it."""
    emu = assemble(state, Clock(offset=state.clock_offset), runtime)
    emu.code, emu.reason = source_hash(), reason
    await files.publish(emu.files)
    runner = web.AppRunner(create_app(emu), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    inner = web.AppRunner(create_app(emu, with_control=False), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    emu.lifecycle.pod_listeners.serve(inner, port)
    # The port first: where it cannot be had, the pods are left as they are.
    listener = listen(port)
    await runner.setup()
    await inner.setup()
    try:
        async with attended(emu):
            await web.SockSite(runner, listener).start()
            log.info("RunPod's stand-in answers on http://%s:%s, state in %s", HOST, port, state.directory)
            await until_signalled()
    finally:
        await runner.cleanup()
        await inner.cleanup()


def listen(port: int) -> socket.socket:
    """Return a socket that listens on the port; UnavailableError names it when something else does."""
    try:
        return socket.create_server((HOST, port), backlog=BACKLOG)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise UnavailableError(port_in_use(port)) from error


def port_in_use(port: int) -> str:
    """Return what to say when something else listens on the port."""
    return (
        f"port {port} on {HOST} is in use by something that is not this emulator; "
        "end it, or choose another with --port and set runpod:apiUrl in the stack's file to it"
    )


async def until_signalled() -> None:
    """Wait for SIGTERM or SIGINT."""
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    await ended.wait()
    log.info("pid %s ends; its pods go on", os.getpid())
