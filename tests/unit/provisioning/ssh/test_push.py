"""push against a real SSH server on loopback: who is trusted, what is resumed, what is bounded, what is never shown."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from provisioning.contract import GatewayPlan, ProvisionPlan, PushRequest, Secrets, SourcePin, SshTarget, bundle
from provisioning.errors import InstallError, ProvisioningError, UnreachablePodError, UntrustedPodError
from provisioning.install import job
from provisioning.layout import Layout
from provisioning.progress import ProgressLog
from provisioning.ssh import remote
from provisioning.ssh.console import Console
from provisioning.ssh.pusher import Pusher, PushTimeouts

CANARY = "canary-secret"

# Stands in for the installer: counts its starts, says one line, waits for a word, gives its result.
INSTALLER = """
import json, os, sys, time
from pathlib import Path
from provisioning.install import job
from provisioning.progress import ProgressLog
from provisioning.layout import Layout
order = json.loads(sys.stdin.read())
layout = Layout.from_env(os.environ)
with job.hold(layout, order["job"], order["run"]):
    progress = ProgressLog(job.progress_path(layout, order["run"]))
    with (layout.root / "starts").open("a") as file:
        file.write("s")
    progress.emit("models", "running", "half", done=500, total=1000)
    while not (layout.root / "word").exists():
        time.sleep(0.02)
    word = (layout.root / "word").read_text()
    progress.finish("failed" if word == "fail" else "done", "no room", {"ok": order["secrets"]["client_key"] != ""})
"""

# Hangs on its first call, as a line does that swallows every byte.
MUTE_ONCE = (
    "\nimport pathlib\nif (m := pathlib.Path(os.environ['POD_ROOT'], 'mute')).exists(): m.unlink(); time.sleep(60)\n"
)


class Pod:
    """An SSH server whose commands run in a directory that plays a pod."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.client_key = asyncssh.generate_private_key("ssh-ed25519")
        self.connections: list[asyncssh.SSHServerConnection] = []
        self.commands: list[str] = []
        self.port = 0
        self._server: asyncssh.SSHAcceptor | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        authorized = asyncssh.import_authorized_keys(self.client_key.export_public_key().decode())
        self._server = await asyncssh.listen(
            "127.0.0.1", self.port, server_host_keys=[self.host_key], authorized_client_keys=authorized,
            process_factory=self._serve, server_factory=lambda: _Server(self), encoding=None,
        )  # fmt: skip
        self.port = self._server.get_port()

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        self.commands.append(process.command or "")
        child = await asyncio.create_subprocess_exec(
            "bash", "-c", process.command or "", stdin=-1, stdout=-1, stderr=-1, start_new_session=True,
            env={"PATH": os.environ["PATH"], "POD_ROOT": str(self.layout.root), "HOME": str(self.layout.root)},
        )  # fmt: skip
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_feed(process, child))
                tasks.create_task(_copy(child.stdout, process.stdout))
                tasks.create_task(_copy(child.stderr, process.stderr))
                status = await child.wait()
                process.stdin.feed_eof()
            process.exit(status)
        except* (asyncssh.Error, ConnectionError):
            pass
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()

    def cut(self) -> None:
        for connection in self.connections:
            connection.abort()
        self.connections.clear()

    async def close(self) -> None:
        self.cut()
        if self._server:
            self._server.close()
            await self._server.wait_closed()


async def _feed(process: asyncssh.SSHServerProcess[bytes], child: asyncio.subprocess.Process) -> None:
    assert child.stdin is not None
    with suppress(ConnectionError):
        while data := await process.stdin.read(65536):
            child.stdin.write(data)
            await child.stdin.drain()
    child.stdin.close()


async def _copy(source: asyncio.StreamReader | None, target: asyncssh.SSHWriter[bytes]) -> None:
    assert source is not None
    while data := await source.read(65536):
        target.write(data)


class _Server(asyncssh.SSHServer):
    def __init__(self, pod: Pod) -> None:
        self._pod = pod

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._pod.connections.append(conn)


@pytest.fixture(autouse=True)
def small_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real bundle with another installer, and a follower that can be muted."""
    real = list(bundle.files())

    def files() -> Iterator[tuple[str, bytes]]:
        for name, content in real:
            if name == "provisioning/install/__main__.py":
                yield name, INSTALLER.encode()
            elif name == "provisioning/install/follow.py":
                yield name, content.replace(b"\nPOLL_SECONDS", MUTE_ONCE.encode() + b"\nPOLL_SECONDS")
            elif "/gateway/" not in name:
                yield name, content

    monkeypatch.setattr(bundle, "files", files)


@pytest.fixture
async def pod(layout: Layout) -> AsyncIterator[Pod]:
    made = Pod(layout)
    await made.listen()
    yield made
    await made.close()
    record = job.running(layout)
    if record:
        job.stop(layout, record)


def request(pod: Pod, ref: str = "v1") -> PushRequest:
    target = SshTarget(
        "127.0.0.1", pod.port, pod.host_key.export_public_key().decode(), pod.client_key.export_private_key().decode()
    )
    plan = ProvisionPlan(SourcePin("c", "https://example.org", ref, "c" * 40), (), (), GatewayPlan({}, 0.5))
    return PushRequest(target, plan, Secrets(CANARY, CANARY, CANARY))


class Run:
    """A push in the background and what it has said."""

    def __init__(self, asked: PushRequest, bounds: PushTimeouts | None = None) -> None:
        self.lines: list[str] = []
        pusher = Pusher(
            asked, Console(self.lines.append), bounds or PushTimeouts(240, 120), sleep=lambda _: asyncio.sleep(0.05)
        )
        self.task = asyncio.create_task(pusher.push())

    async def until(self, text: str, count: int = 1) -> None:
        async with asyncio.timeout(120):
            while sum(text in line for line in self.lines) < count:
                if self.task.done():
                    self.task.result()
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


def say(pod: Pod, word: str = "done") -> None:
    (pod.layout.root / "word").write_text(word)


def starts(pod: Pod) -> int:
    return len((pod.layout.root / "starts").read_text())


async def test_it_uploads_installs_and_returns_the_result(pod: Pod) -> None:
    say(pod)
    run = Run(request(pod))
    assert await run.task == {"ok": True}
    assert any("500 bytes of 1000 bytes half" in line for line in run.lines)


async def test_a_second_push_uploads_nothing(pod: Pod) -> None:
    say(pod)
    await Run(request(pod)).task
    again = Run(request(pod))
    await again.task
    assert not [line for line in again.lines if "uploaded" in line]


async def test_a_wrong_host_key_is_refused_and_nothing_is_sent(pod: Pod) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    asked = request(pod)
    with pytest.raises(UntrustedPodError, match="does not have the host key"):
        await Run(replace(asked, target=replace(asked.target, host_key=other))).task
    assert pod.commands == []


async def test_a_pod_that_rejects_the_key_is_not_retried(pod: Pod) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    asked = request(pod)
    with pytest.raises(UntrustedPodError, match="does not accept"):
        await Run(replace(asked, target=replace(asked.target, private_key=stranger))).task


async def test_a_refused_connection_is_reported_with_checks(pod: Pod) -> None:
    asked = request(pod)
    await pod.close()
    with pytest.raises(UnreachablePodError, match=r"connection refused.*make pods.*22/tcp"):
        await Run(asked, PushTimeouts(20, 0.2)).task


async def test_a_pod_that_is_still_starting_is_waited_for(pod: Pod) -> None:
    asked = request(pod)
    await pod.close()
    run = Run(asked)
    await run.until("trying again")
    await pod.listen()
    say(pod)
    assert await run.task == {"ok": True}


@pytest.mark.slow
async def test_a_lost_connection_is_resumed(pod: Pod) -> None:
    run = Run(request(pod))
    await run.until("half")
    pod.cut()
    await run.until("trying again")
    say(pod)
    assert await run.task == {"ok": True}
    assert starts(pod) == 1
    assert sum("half" in line for line in run.lines if "still at" not in line) == 1


@pytest.mark.slow
async def test_a_dead_connection_is_detected(pod: Pod) -> None:
    (pod.layout.root / "mute").touch()
    say(pod)
    run = Run(request(pod), PushTimeouts(240, 120, silent=10))
    assert await run.task == {"ok": True}
    assert any("no answer" in line for line in run.lines)


@pytest.mark.slow
async def test_a_killed_push_is_followed_by_the_next_one(pod: Pod) -> None:
    first = Run(request(pod))
    await first.until("half")
    await first.kill()
    second = Run(request(pod))
    await second.until("following it")
    say(pod)
    assert await second.task == {"ok": True}
    assert starts(pod) == 1


@pytest.mark.slow
async def test_another_plan_stops_the_running_installation(pod: Pod) -> None:
    first = Run(request(pod))
    await first.until("half")
    second = Run(request(pod, ref="v2"))
    await second.until("half")
    say(pod)
    assert await second.task == {"ok": True}
    assert starts(pod) == 2
    with pytest.raises(InstallError, match="another installation"):
        await first.task


@pytest.mark.slow
async def test_two_pushes_of_one_plan_share_one_installer(pod: Pod) -> None:
    runs = [Run(request(pod)), Run(request(pod))]
    for run in runs:
        await run.until("half")
    say(pod)
    assert await asyncio.gather(*(run.task for run in runs)) == [{"ok": True}] * 2
    assert starts(pod) == 1


@pytest.mark.slow
async def test_an_installer_that_is_killed_is_started_again(pod: Pod) -> None:
    run = Run(request(pod))
    await run.until("half")
    record = job.running(pod.layout)
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)
    await run.until("starting it again")
    say(pod)
    assert await run.task == {"ok": True}


async def test_a_failed_installation_is_an_error_with_its_reason(pod: Pod) -> None:
    say(pod, "fail")
    with pytest.raises(InstallError, match="no room"):
        await Run(request(pod)).task


@pytest.mark.slow
async def test_the_client_times_out_and_the_installer_continues(pod: Pod) -> None:
    first = Run(request(pod))
    await first.until("half")
    await first.kill()
    with pytest.raises(ProvisioningError, match="no progress for 1 s"):
        await Run(request(pod), PushTimeouts(1, 60)).task
    assert job.running(pod.layout) is not None


@pytest.mark.slow
async def test_the_time_limit_counts_only_without_progress(pod: Pod) -> None:
    """Two hundred gigabytes take hours; a rate that is told again and again without another byte is no progress."""
    run = Run(request(pod), PushTimeouts(10, 60))
    await run.until("half")
    record = job.running(pod.layout)
    assert record is not None
    progress = ProgressLog(job.progress_path(pod.layout, record.run))
    for count in range(40):
        progress.emit("models", "running", "1 MB/s", done=501 + count, total=1000)
        await asyncio.sleep(0.3)
    assert not run.task.done()
    with pytest.raises(ProvisioningError, match="no progress for 10 s"):  # noqa: PT012  (it must happen in between)
        for count in range(100):
            progress.emit("models", "running", f"{count} MB/s", done=541, total=1000)
            await asyncio.wait([run.task], timeout=0.3)
            if run.task.done():
                await run.task
    progress.close()


async def test_no_secret_is_shown_or_left_behind(pod: Pod, layout: Layout) -> None:
    say(pod)
    run = Run(request(pod))
    result = await run.task
    assert CANARY not in json.dumps(result)
    assert CANARY not in "\n".join(run.lines + pod.commands)
    assert not [path for path in layout.root.rglob("*") if path.is_file() and CANARY in path.read_text("utf-8")]


def test_a_pod_cannot_write_to_the_terminal_but_text() -> None:
    shown: list[str] = []
    detail = "done \x1b]0;owned\x07\x1b[2J\r\x9b31m\u202e\nsecond\tline: é"
    Console(shown.append).event({"step": "health", "state": "running", "detail": detail})
    text = shown[0]
    assert all(letter.isprintable() or letter in "\n\t" for letter in text)
    assert "\nsecond\tline: é" in text


async def test_the_console_prints_regularly() -> None:
    now = [0.0]
    said: list[str] = []
    console = Console(said.append, clock=lambda: now[0])
    console.doing("connecting")
    async with console.alive():
        now[0] = 9.0
        await asyncio.sleep(1.2)
    assert said[-1] == "[   9 s] still at: connecting"


def test_two_plans_or_secrets_are_two_jobs(tmp_path: Path) -> None:
    plan = ProvisionPlan(SourcePin("c", "u", "r", "c" * 40), (), (), GatewayPlan({}, 0.5))
    target = SshTarget("h", 1, "k", "p")
    base = PushRequest(target, plan, Secrets("a", "b", "c"))
    moved = replace(base, target=replace(target, port=2))
    others = (
        replace(base, secrets=Secrets("a", "b", "d")),
        replace(base, plan=replace(plan, comfyui_args=("--cpu",))),
    )
    names = {remote.job_name(asked, "digest") for asked in (base, moved, *others)}
    assert remote.job_name(base, "digest") == remote.job_name(moved, "digest")
    assert len(names) == 3
