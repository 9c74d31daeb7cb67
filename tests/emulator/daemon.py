"""The emulator as a background process in a session of its own, which outlives the process that started it."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from tests.emulator import runtime_selection
from tests.emulator.runtimes.processes import Process, let_go, start_time
from tests.emulator.server import HOST, UnavailableError, port_in_use, settle_runtime, source_hash
from tests.emulator.state import State, write_atomically

START_SECONDS = 60.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.1
HEALTH_SECONDS = 5.0
LOG_LINES = 15


@dataclass(frozen=True)
class Place:
    """Where an emulator keeps its state and listens."""

    directory: Path
    port: int

    @property
    def url(self) -> str:
        """The base address of its API."""
        return f"http://{HOST}:{self.port}"

    @property
    def log(self) -> Path:
        """What it wrote while in the background."""
        return self.directory / "emulator.log"

    @property
    def pid_file(self) -> Path:
        """Its pid and start time."""
        return self.directory / "pid.json"


def health(place: Place, seconds: float = HEALTH_SECONDS) -> dict[str, Any] | None:
    """Return what answers at the place, None for nothing; UnavailableError when it is not an emulator of this state."""
    connection = HTTPConnection(HOST, place.port, timeout=seconds)
    try:
        connection.request("GET", "/_emulator/health")
        facts = json.load(connection.getresponse())
    except ConnectionRefusedError:
        return None
    except (OSError, ValueError, HTTPException) as error:
        raise UnavailableError(port_in_use(place.port)) from error
    finally:
        connection.close()
    if not isinstance(facts, dict) or facts.get("emulator") != "runpod":
        raise UnavailableError(port_in_use(place.port))
    if facts["state"] != str(place.directory):
        there = facts["state"]
        raise UnavailableError(f"the emulator on port {place.port} has its state in {there}, not in {place.directory}")
    return facts


def start(place: Place, runtime: str) -> str:
    """Have an emulator running at the place; return what was done. One of an older source is replaced."""
    if facts := health(place):
        if facts["code"] == source_hash():
            return f"already running: {describe(place, facts)}"
        stop(place)
    before = place.log.stat().st_size if place.log.exists() else 0
    child = spawn(place, runtime)
    try:
        facts = wait_until_healthy(place, child, before)
    except BaseException:
        child.terminate()
        raise
    finally:
        let_go(child)
    return f"started: {describe(place, facts)}"


def describe(place: Place, facts: dict[str, Any]) -> str:
    """Return one line about a running emulator."""
    what = f"{place.url}, pid {facts['pid']}, runtime {facts['runtime']} ({facts['reason']})"
    return f"{what}, network volumes {facts['volumes']}"


def spawn(place: Place, runtime: str) -> subprocess.Popen[bytes]:
    """Start `serve` in a session of its own, writing to its log."""
    place.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    command = [sys.executable, "-m", "tests.emulator", "serve", "--port", str(place.port)]
    command += ["--state", str(place.directory), "--runtime", runtime]
    with place.log.open("ab") as log:
        child = subprocess.Popen(
            command,
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    record = {"pid": child.pid, "started": start_time(child.pid)}
    write_atomically(place.pid_file, json.dumps(record))
    return child


def wait_until_healthy(place: Place, child: subprocess.Popen[bytes], before: int) -> dict[str, Any]:
    """Wait until the emulator answers; UnavailableError with its last words when it does not."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        code = child.poll()
        # Another `start` at the same moment may have won; then its emulator is as good as ours. It listens before it
        # has cleared away what is left of former pods, and answers after that.
        if facts := health(place, START_SECONDS):
            return facts
        if code is not None:
            break
        time.sleep(POLL_SECONDS)
    raise UnavailableError(f"the emulator does not start; {place.log} ends with:\n{last_words(place, before)}")


def last_words(place: Place, before: int) -> str:
    """Return the end of what was logged since the log had `before` bytes."""
    said = place.log.read_bytes()[before:].decode("utf-8", "replace")
    return "\n".join(said.splitlines()[-LOG_LINES:])


def stop(place: Place) -> str:
    """End the emulator; its pods go on. Return what was done."""
    facts = health(place)
    process = Process(facts["pid"], start_time(facts["pid"]) or "") if facts else recorded(place)
    if process is None or not process.is_alive():
        return "not running"
    process.send(signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while process.is_alive():
        if time.monotonic() > deadline:
            raise UnavailableError(f"pid {process.pid} did not end within {STOP_SECONDS:g} s; its log is {place.log}")
        time.sleep(POLL_SECONDS)
    place.pid_file.unlink(missing_ok=True)
    return f"stopped: pid {process.pid}"


def recorded(place: Place) -> Process | None:
    """Return the process that was started here, None when none is recorded."""
    if not place.pid_file.exists():
        return None
    record = json.loads(place.pid_file.read_text(encoding="utf-8"))
    return Process(record["pid"], record["started"] or "")


def remaining_pods(place: Place) -> list[str]:
    """Return the pods and volumes of the state, for a person to read."""
    state = State.load(place.directory)
    pods = [f"pod {pod.id} {pod.status} {pod.name}" for pod in state.living_pods()]
    return pods + [f"volume {volume.id} {volume.size} GB {volume.name}" for volume in state.living_volumes()]


def end_pods(place: Place, runtime: str) -> None:
    """End every pod of a stopped emulator: containers and records; volumes stay."""
    state = State.load(place.directory)
    # A runtime that is to take up nothing cleans everything away, also what nobody remembers.
    chosen, _ = runtime_selection.select(settle_runtime(state, runtime), place.directory)
    asyncio.run(chosen.adopt({}))
    for pod in state.living_pods():
        pod.status, pod.ended_at = "TERMINATED", time.time() + state.clock_offset
        for span in pod.spans:
            span.end = span.end or pod.ended_at
    state.save()
