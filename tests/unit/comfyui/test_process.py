"""The stand-in as a process: cloned, started by its main.py, and ended in several ways."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import ClientConnectionError, ClientError, ClientSession

from tests.comfyui.files import source_files
from tests.emulator.public_ports import kept_port
from tests.unit.comfyui.conftest import small

SOURCE = Path(__file__).parents[2] / "comfyui" / "source"


@dataclass(frozen=True)
class Running:
    process: asyncio.subprocess.Process
    url: str
    session: ClientSession

    async def submit(self, text: str) -> None:
        async with self.session.post(f"{self.url}/prompt", json={"prompt": small(text)}) as response:
            assert response.status == 200, await response.text()

    async def end(self) -> int:
        async with asyncio.timeout(60):
            return await self.process.wait()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "ComfyUI"
    for name, body in source_files(SOURCE).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(body)
    return folder


@asynccontextmanager
async def _started(checkout: Path, models: Path, *flags: str) -> AsyncIterator[Running]:
    port = kept_port()
    line = [
        sys.executable, "main.py", "--listen", "127.0.0.1", "--port", str(port), "--base-directory",
        str(checkout / "base"), "--models-directory", str(models), *flags,
    ]  # fmt: skip
    environment = {"PATH": os.environ["PATH"], "STAND_IN_STEP_SECONDS": "0"}
    process = await asyncio.create_subprocess_exec(
        *line, cwd=checkout, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        async with ClientSession() as session:
            await _until_answering(session, f"http://127.0.0.1:{port}", process)
            yield Running(process, f"http://127.0.0.1:{port}", session)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def _until_answering(session: ClientSession, url: str, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(90):
        while process.returncode is None:
            with contextlib.suppress(ClientError):
                async with session.get(f"{url}/prompt"):
                    return
            await asyncio.sleep(0.05)
    pytest.fail(f"the stand-in ended with {process.returncode} before it answered")


async def test_it_says_that_it_is_a_stand_in_and_ends_on_request(checkout: Path, published: Path) -> None:
    async with _started(checkout, published / "models", "--log-stdout") as running:
        running.process.send_signal(signal.SIGTERM)
        assert await running.end() == 0
        assert running.process.stdout is not None
        assert b"stand-in" in await running.process.stdout.read()


async def test_a_crash_ends_it_with_137(checkout: Path, published: Path) -> None:
    async with _started(checkout, published / "models") as running:
        # The job may have ended the process before the submission was answered.
        with contextlib.suppress(ClientConnectionError):
            await running.submit("[stand-in: crash]")
        assert await running.end() == 137


async def test_it_ends_on_request_although_a_job_hangs(checkout: Path, published: Path) -> None:
    async with _started(checkout, published / "models") as running:
        await running.submit("[stand-in: hang]")
        running.process.send_signal(signal.SIGTERM)
        assert await running.end() == 0


async def test_a_port_in_use_ends_it_with_one(checkout: Path, published: Path) -> None:
    async with _started(checkout, published / "models") as running:
        port = running.url.rsplit(":", 1)[1]
        second = await asyncio.create_subprocess_exec(
            sys.executable, "main.py", "--port", port, "--base-directory", str(checkout / "other"),
            cwd=checkout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await second.communicate()
        assert second.returncode == 1
        assert f"Port {port} cannot be used".encode() in said


async def test_a_flag_it_does_not_know_ends_it_with_two(checkout: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "main.py", "--unheard-of", cwd=checkout, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 2
    assert b"unrecognized arguments: --unheard-of" in said
