"""Pods as a user of one sees them: from inside, and from the machine around them."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import pwd
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

from tests.emulator.public_ports import kept_port
from tests.emulator.runtimes import RuntimeFailureError
from tests.emulator.runtimes.namespace import NamespaceRuntime
from tests.emulator.runtimes.namespace_keeper import CHECKOUT
from tests.unit.emulator_namespace.pods import finish, needs_namespaces, say, seen_outside, spec, until, wait_for_log

pytestmark = needs_namespaces


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[NamespaceRuntime]:
    made = NamespaceRuntime(tmp_path / "state")
    yield made
    await made.adopt({})


async def test_the_start_command_is_the_first_process_in_a_clean_environment(runtime: NamespaceRuntime) -> None:
    await runtime.start(spec("pod1", "echo pid $$; hostname; id; env; exit 3", env={"RUNPOD_POD_ID": "pod1"}))
    assert await finish(runtime, "pod1") == 3
    lines = runtime.log_path("pod1").read_text(encoding="utf-8").splitlines()
    assert lines[:3] == ["pid 1", "pod1", "uid=0(root) gid=0(root) groups=0(root)"]
    names = {line.partition("=")[0] for line in lines[3:]}
    assert names == {"RUNPOD_POD_ID", "PATH", "HOME", "HOSTNAME", "PWD", "SHLVL", "_"}


async def test_a_command_that_does_not_exist_ends_the_pod_and_says_so_in_its_log(runtime: NamespaceRuntime) -> None:
    missing = spec("pod1", "")
    await runtime.start(type(missing)(**{**vars(missing), "args": ["/no/such/program"]}))
    assert await finish(runtime, "pod1") == 127
    assert "exec /no/such/program: No such file" in runtime.log_path("pod1").read_text(encoding="utf-8")


async def test_private_folders_of_the_machine_show_nothing(runtime: NamespaceRuntime, tmp_path: Path) -> None:
    (tmp_path / "state" / "secret").touch()
    home = os.environ["HOME"]
    folders = ("/root", "/home", "/mnt", "/tmp", "/run/lock", str(CHECKOUT), str(tmp_path), home, f"{home}/.cache")
    said = await say(runtime, "; ".join(f"ls -A {folder} 2>/dev/null" for folder in folders) + "; echo end")
    assert said == "end\n"


async def test_what_is_hidden_cannot_be_uncovered(runtime: NamespaceRuntime) -> None:
    script = (
        f"umount /root; umount -l {CHECKOUT}; mount --bind / /mnt; ls -A /root {CHECKOUT} /mnt; cat /proc/self/mounts"
    )
    said = await say(runtime, script)
    assert "pyproject.toml" not in said
    assert "Makefile" not in said


async def test_root_in_a_pod_cannot_touch_the_machine(runtime: NamespaceRuntime) -> None:
    script = """
        echo 1 > /proc/sys/kernel/panic && echo SYSCTL
        mount -t tmpfs tmpfs /mnt && echo MOUNT
        ip link add dummy0 type dummy && echo LINK
        mknod /tmp/disk b 254 0; head -c1 /tmp/disk && echo DISK
        ls /proc/1/root/../../home/* && echo ROOT
        grep CapEff /proc/self/status
    """
    said = await say(runtime, script)
    assert not {"SYSCTL", "MOUNT", "LINK", "DISK", "ROOT"} & set(said.split())
    assert "00000000a80425fb" in said  # the default of container engines


async def test_devices_are_the_pods_own(runtime: NamespaceRuntime) -> None:
    script = """
        chmod 600 /dev/null && stat -c %a /dev/null
        head -c4 /dev/urandom | wc -c
        mknod /dev/kmsg c 1 11; cat /dev/kmsg
    """
    said = await say(runtime, script)
    assert said.splitlines()[:2] == ["600", "4"]
    assert "/dev/kmsg: Permission denied" in said
    assert stat.S_IMODE(os.stat("/dev/null").st_mode) == 0o666  # noqa: PTH116  a coroutine may call this one


async def test_it_looks_like_a_machine_of_its_own(runtime: NamespaceRuntime) -> None:
    said = await say(runtime, "ps ax | wc -l; df -h / | tail -1; ss -ltn | wc -l; cat /proc/1/comm; ls /dev /dev/pts")
    lines = said.splitlines()
    assert int(lines[0]) <= 4  # header, bash, ps, wc
    assert lines[1].split()[:2] == ["overlay", "2.0G"]
    assert lines[2:4] == ["1", "bash"]
    assert {"null", "urandom", "shm", "pts", "ptmx"} <= set(lines)


async def test_users_packages_and_python_work(runtime: NamespaceRuntime) -> None:
    script = """
        set -e
        useradd --uid 10001 visitor
        touch /var/lib/dpkg/lock-frontend /usr/bin/new-program /opt/thing
        su visitor -s /bin/sh -c 'id -u; touch ~/x 2>/dev/null || echo nowhere; cat /etc/shadow || true'
        /usr/bin/python3 -c 'import ssl, sys; print(sys.executable)'
    """
    said = await say(runtime, script)
    assert said.splitlines()[:2] == ["10001", "nowhere"]
    assert said.splitlines()[-1] == "/usr/bin/python3"
    assert "root:" not in said
    assert "visitor" not in {account.pw_name for account in pwd.getpwall()}
    assert seen_outside("/usr/bin/new-program", "/opt/thing") == []


async def test_only_the_volume_outlives_a_stop(runtime: NamespaceRuntime, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    await runtime.start(spec("pod1", "echo kept > /workspace/file; echo lost > /etc/file; sleep infinity", volume))
    await until((volume / "file").exists)
    await runtime.stop("pod1")
    await runtime.start(spec("pod1", "cat /workspace/file /etc/file; true", volume))
    await finish(runtime, "pod1")
    log = runtime.log_path("pod1").read_text(encoding="utf-8")
    assert log.startswith("kept\n")
    assert "lost" not in log
    assert seen_outside("/etc/file") == []


async def test_a_full_container_disk_is_full(runtime: NamespaceRuntime) -> None:
    said = await say(runtime, "fallocate -l 3G /tmp/large; echo code $?")
    assert "No space left" in said
    assert "code 1" in said


async def test_a_volume_is_as_full_as_was_asked_for(runtime: NamespaceRuntime, tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    small = dataclasses.replace(
        spec("pod1", "fallocate -l 9M /workspace/large; echo code $?", tmp_path / "volume"), volume_mb=8
    )
    await runtime.start(small)
    await finish(runtime, "pod1")
    assert "No space left" in runtime.log_path("pod1").read_text(encoding="utf-8")


async def test_a_stop_is_asked_for_before_it_is_forced(runtime: NamespaceRuntime) -> None:
    await runtime.start(spec("pod1", "trap 'echo asked; exit 5' TERM; echo up; while :; do sleep 0.05; done"))
    await wait_for_log(runtime, "pod1", "up")
    await runtime.stop("pod1")
    assert (await runtime.status("pod1")).exit_code == 5
    assert runtime.log_path("pod1").read_text(encoding="utf-8") == "up\nasked\n"


async def test_a_program_in_a_pod_reaches_the_emulator_on_its_own_loopback(runtime: NamespaceRuntime) -> None:
    await runtime.start(spec("pod1", "until exec 3<>/dev/tcp/127.0.0.1/8642; do sleep 0.05; done 2>/dev/null; cat <&3"))
    listener = await runtime.inner_listener("pod1", 8642)
    assert listener is not None

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"from the emulator\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, sock=listener):
        await finish(runtime, "pod1")
    assert runtime.log_path("pod1").read_text(encoding="utf-8") == "from the emulator\n"


async def test_a_port_that_is_taken_inside_a_pod_says_so(runtime: NamespaceRuntime) -> None:
    await runtime.start(spec("pod1", "sleep infinity"))
    listener = await runtime.inner_listener("pod1", 8642)
    assert listener is not None
    with listener, pytest.raises(RuntimeFailureError, match=r"inside pod pod1: .*in use"):
        await runtime.inner_listener("pod1", 8642)


async def test_nothing_listens_inside_a_pod_that_does_not_run(runtime: NamespaceRuntime) -> None:
    with pytest.raises(RuntimeFailureError, match="start it first"):
        await runtime.inner_listener("pod1", 8642)


@pytest.mark.skipif(not seen_outside("/usr/sbin/sshd"), reason="no OpenSSH server: install openssh-server")
async def test_openssh_accepts_a_login(runtime: NamespaceRuntime) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    script = """
        mkdir -p /run/sshd ~/.ssh
        ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/key
        echo "$PUBLIC_KEY" > ~/.ssh/authorized_keys
        exec /usr/sbin/sshd -D -e -h /etc/ssh/key -o StrictModes=yes
    """
    await runtime.start(spec("pod1", script, env={"PUBLIC_KEY": key.export_public_key().decode()}))
    await wait_for_log(runtime, "pod1", "listening on 0.0.0.0")
    host, port = runtime.address("pod1", 22)
    connection = asyncssh.connect(host, port, username="root", client_keys=[key], known_hosts=None, config=None)
    async with await connection as client:
        done = await client.run("id -un; tty; hostname", term_type="xterm")
    assert str(done.stdout).split() == ["root", "/dev/pts/0", "pod1"]


async def test_a_volume_that_is_not_there_says_so_and_leaves_nothing(runtime: NamespaceRuntime, tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailureError, match="missing"):
        await runtime.start(spec("pod1", "true", tmp_path / "missing"))
    assert not (await runtime.status("pod1")).running
    with pytest.raises(KeyError):
        runtime.address("pod1", 22)


async def test_a_port_on_the_pods_loopback_is_invisible_outside_and_others_are_not(runtime: NamespaceRuntime) -> None:
    serve = "import http.server as h; h.HTTPServer(('{}', {}), h.SimpleHTTPRequestHandler).serve_forever()"
    hidden, shown = kept_port(), kept_port()  # nobody on the machine may have the first either
    programs = (serve.format("127.0.0.1", hidden), serve.format("", shown))
    script = "\n".join(f'/usr/bin/python3 -c "{program}" &' for program in programs)
    await runtime.start(
        spec("pod1", f"{script}\nuntil [ $(ss -ltnH | wc -l) = 2 ]; do sleep 0.05; done; echo up; wait")
    )
    await wait_for_log(runtime, "pod1", "up")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(runtime.address("pod1", hidden), timeout=60)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", hidden), timeout=60)
    socket.create_connection(runtime.address("pod1", shown), timeout=60).close()
