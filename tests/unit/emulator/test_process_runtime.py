"""The process runtime with real processes: started, reached over SSH, taken up again, ended without a trace."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncssh
import pytest

from tests.emulator.runtimes import ContainerSpec, RuntimeFailureError, processes
from tests.emulator.runtimes.process import ProcessRuntime, marker

POD = "testpod"
LINGER = "trap '' TERM HUP; echo ready; setsid sleep 1000 & sleep 1000"
"""Ignores a polite end, and has a child that left its session."""


class Keys:
    """A login key and a host key, made once for all tests."""

    login = asyncssh.generate_private_key("ssh-ed25519")
    host = asyncssh.generate_private_key("ssh-ed25519")


def make_spec(tmp_path: Path, *args: str, keys: bool = True) -> ContainerSpec:
    env = {"OWN": "value"}
    if keys:
        env["COMFYUI_SSH_HOST_KEY"] = Keys.host.export_private_key().decode()
        env["COMFYUI_SSH_AUTHORIZED_KEY"] = Keys.login.export_public_key().decode().strip()
    return ContainerSpec(POD, list(args), env, tmp_path / "volumes" / "v", "/workspace", (8189, 22), 10)


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[ProcessRuntime]:
    runtime = ProcessRuntime(tmp_path)
    yield runtime
    await runtime.remove(POD)
    assert processes.having(marker(tmp_path / "pods" / POD / "root")) == []


async def connect(runtime: ProcessRuntime, key: asyncssh.SSHKey = Keys.login) -> asyncssh.SSHClientConnection:
    host, port = runtime.address(POD, 22)
    known = asyncssh.import_known_hosts(f"[{host}]:{port} {Keys.host.export_public_key().decode()}")
    options = asyncssh.SSHClientConnectionOptions(
        username="root", client_keys=[key], known_hosts=known, agent_path=None, config=None
    )
    return await asyncssh.connect(host, port, options=options)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - a process outside tells nobody
            await asyncio.sleep(0.02)


async def test_a_pod_runs_is_reached_and_leaves_nothing(runtime: ProcessRuntime, tmp_path: Path) -> None:
    spec = make_spec(tmp_path, "bash", "-c", f"echo own=$OWN port=$POD_PORT_8189; {LINGER}")
    await runtime.start(spec)
    await until(lambda: "ready" in runtime.log_path(POD).read_text())
    assert f"own=value port={runtime.address(POD, 8189)[1]}\n" in runtime.log_path(POD).read_text()
    assert (await runtime.status(POD)).running
    root = tmp_path / "pods" / POD / "root"
    async with await connect(runtime) as connection:
        result = await connection.run(
            "echo $POD_ROOT; echo to-volume > workspace/f; echo $OWN >&2; cat; exit 7", input="in"
        )
        assert (result.exit_status, result.stdout, result.stderr) == (7, f"{root}\nin", "\n")
        assert (await connection.run("kill -9 $$")).exit_signal is not None
        terminal = await connection.run("[ -t 0 ] && stty size; exit 3", term_type="xterm", term_size=(91, 17))
        assert (terminal.exit_status, str(terminal.stdout).split()) == (3, ["17", "91"])
        async with connection.start_sftp_client() as sftp, sftp.open(f"{root}/workspace/g", "w") as file:
            await file.write("by sftp")
            assert await sftp.realpath(".") == str(root)
        await connection.run("setsid sleep 1000 >/dev/null 2>&1 </dev/null & sleep 0.1")
    assert len(processes.having(marker(root))) >= 4
    with pytest.raises(asyncssh.PermissionDenied):
        await connect(runtime, asyncssh.generate_private_key("ssh-ed25519"))
    await runtime.stop(POD)
    assert processes.having(marker(root)) == []
    assert not root.exists(), "the container disk is lost"
    assert (tmp_path / "volumes/v/f").read_text() == "to-volume\n"
    assert (tmp_path / "volumes/v/g").read_text() == "by sftp"
    assert not (await runtime.status(POD)).running


async def test_a_pod_is_taken_up_again_and_strangers_are_cleaned_away(runtime: ProcessRuntime, tmp_path: Path) -> None:
    spec = make_spec(tmp_path, "bash", "-c", LINGER)
    await runtime.start(spec)
    before = runtime.address(POD, 8189)
    await runtime.close()
    later = ProcessRuntime(tmp_path)
    await later.adopt({POD: spec})
    assert (await later.status(POD)).running
    assert later.address(POD, 8189) == before
    async with await connect(later) as connection:
        assert (await connection.run("echo here")).stdout == "here\n"
    await later.close()
    await ProcessRuntime(tmp_path).adopt({})
    assert processes.having(marker(tmp_path / "pods" / POD / "root")) == []
    assert list((tmp_path / "pods").iterdir()) == []


async def test_the_end_of_the_first_process_is_told_with_its_code(runtime: ProcessRuntime, tmp_path: Path) -> None:
    await runtime.start(make_spec(tmp_path, "bash", "-c", "exit 5", keys=False))
    async with asyncio.timeout(60):
        while (status := await runtime.status(POD)).running:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.02)
    assert status.exit_code == 5
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection(*runtime.address(POD, 22))


async def test_a_command_that_does_not_exist_is_a_failure_to_start(runtime: ProcessRuntime, tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailureError, match="no-such-command"):
        await runtime.start(make_spec(tmp_path, "no-such-command"))


async def test_a_pid_that_was_given_to_another_is_left_alone() -> None:
    child = await asyncio.create_subprocess_exec("sleep", "1000")
    processes.Process(child.pid, "another start time").send(signal.SIGKILL)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(child.wait(), 0.3)
    mine = processes.start_time(child.pid)
    assert mine is not None
    processes.Process(child.pid, mine).send(signal.SIGKILL)
    assert await child.wait() == -signal.SIGKILL
    assert not processes.Process(os.getpid(), "another start time").is_alive()
