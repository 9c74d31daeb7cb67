"""Network volumes as RunPod has them, seen from inside pods."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.emulator.runtimes import ContainerSpec, volume_servers
from tests.emulator.runtimes import namespace_processes as processes
from tests.emulator.runtimes.namespace import NamespaceRuntime
from tests.emulator.runtimes.volume_behaviour import Behaviour, Home, Orders
from tests.unit.emulator_namespace import pods
from tests.unit.emulator_namespace.pods import child_that_starts, finish, needs_namespaces, spec, traces, wait_for_log

_REASON = volume_servers.why_not()
pytestmark = [*needs_namespaces, pytest.mark.skipif(_REASON is not None, reason=f"no volumes by FUSE: {_REASON}")]

MOUNT = "/persistent/volume"
QUICK = Behaviour(open_ms=0.0)
AS_USER = "setpriv --reuid 10001 --regid 10001 --clear-groups"


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[NamespaceRuntime]:
    made = NamespaceRuntime(tmp_path / "state")
    (tmp_path / "state/volumes/v1").mkdir(parents=True)
    yield made
    await made.adopt({})
    assert traces(tmp_path / "state") == []


def pod(state: Path, script: str, behaviour: Behaviour = QUICK, pod_id: str = "pod1") -> ContainerSpec:
    """A pod with the volume `v1`, whose start command is a bash script that begins on it."""
    made = spec(pod_id, f"cd {MOUNT} && {script}", state / "volumes/v1")
    return dataclasses.replace(made, behaviour=behaviour, mount_path=MOUNT)


async def say(runtime: NamespaceRuntime, state: Path, script: str, behaviour: Behaviour = QUICK) -> list[str]:
    """Run a script as a pod of its own and return the lines it said."""
    await runtime.start(pod(state, f"({script}) 2>&1", behaviour, "says"))
    await finish(runtime, "says")
    said = runtime.log_path("says").read_text(encoding="utf-8")
    await runtime.remove("says")
    return said.splitlines()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


async def test_everything_is_roots_whoever_makes_it_and_chmod_does_nothing(
    runtime: NamespaceRuntime, state: Path
) -> None:
    script = f"""
        touch file; mkdir folder; chmod 600 file && chmod 700 folder && {AS_USER} touch folder/other
        {AS_USER} chmod 600 folder/other; chown 1:1 file || chown 10001 folder/other || echo refused
        stat -c '%n %u %g %a' file folder folder/other; {AS_USER} sh -c 'cat file && rm file && echo removed'
    """
    said = await say(runtime, state, script)
    assert [line for line in said if not line.startswith("chown:")] == [
        "refused",
        "file 0 0 666",
        "folder 0 0 777",
        "folder/other 0 0 666",
        "removed",
    ]
    assert sum("Operation not permitted" in line for line in said) == 2


async def test_no_file_can_be_run_where_modes_are_ignored(runtime: NamespaceRuntime, state: Path) -> None:
    script = "printf '#!/bin/sh\necho ran\n' > run; chmod +x run; test -x run || echo no; ./run; sh run"
    said = await say(runtime, state, script)
    assert (said[0], said[-1]) == ("no", "ran")
    assert "Permission denied" in said[1]
    assert (await say(runtime, state, "chmod +x run; ./run", dataclasses.replace(QUICK, modes="obeyed"))) == ["ran"]


async def test_obeyed_modes_keep_out_others_than_root_also_from_their_own_files(
    runtime: NamespaceRuntime, state: Path
) -> None:
    script = f"""
        chmod 777 . ; touch secret; chmod 600 secret; chown 10001 secret
        {AS_USER} sh -c 'cat secret; umask 077; echo mine > own && cat own; stat -c "%u %a" own'; cat own
    """
    said = await say(runtime, state, script, dataclasses.replace(QUICK, modes="obeyed"))
    assert [line.rpartition(": ")[2] for line in said] == [
        "Operation not permitted",
        "Permission denied",
        "Permission denied",
        "0 600",
        "mine",
    ]


async def test_it_is_mounted_as_there_and_shows_the_cluster(runtime: NamespaceRuntime, state: Path) -> None:
    said = await say(runtime, state, f"grep ' {MOUNT} ' /proc/self/mounts; df -h --output=size,avail . | tail -1")
    options = "rw,nosuid,nodev,relatime,user_id=0,group_id=0,allow_other"
    assert said[0] == f"mfs\\043euro-3.runpod.net:9421 {MOUNT} fuse {options} 0 0"
    assert said[1].split() == ["2.3P", "506T"]
    assert pods.seen_outside(MOUNT) == []


async def test_it_is_full_at_its_size_and_what_is_deleted_gives_room_back(
    runtime: NamespaceRuntime, state: Path
) -> None:
    script = """
        (head -c 2097152 /dev/zero > old) && head -c 9437184 /dev/zero > large; stat -c %s large; rm large
        head -c 5242880 /dev/zero > next && exec 3> held && head -c 3145728 /dev/zero >&3 && rm held
        truncate -s 7M next; echo x > more; exec 3>&-
        until truncate -s 7M next 2>/dev/null; do sleep 0.05; done; echo room
        ls; df . --output=iavail | tail -1
    """
    said = await say(runtime, state, script, dataclasses.replace(QUICK, quota_bytes=10 << 20))
    assert sum("Disk quota exceeded" in line for line in said) == 3
    assert [line for line in said if "quota" not in line][:-1] == ["8388608", "room", "more", "next", "old"]


async def test_its_size_and_its_faults_change_while_it_is_mounted(runtime: NamespaceRuntime, state: Path) -> None:
    script = "echo up; while [ ! -e go ]; do sleep 0.05; done; dd if=/dev/zero of=x bs=2M count=1 status=none; echo $?"
    await runtime.start(pod(state, f"({script}) 2>&1", dataclasses.replace(QUICK, quota_bytes=1 << 20)))
    await wait_for_log(runtime, "pod1", "up")
    assert runtime.volumes.behave("v1", dataclasses.replace(QUICK, quota_bytes=3 << 20))
    (state / "volumes/v1/go").touch()
    await finish(runtime, "pod1")
    assert runtime.log_path("pod1").read_text(encoding="utf-8") == "up\n0\n"
    await runtime.remove("pod1")
    assert not runtime.volumes.behave("v1", QUICK)


@pytest.mark.parametrize(("error", "words"), [("EIO", "Input/output error"), ("EDQUOT", "Disk quota exceeded")])
async def test_the_next_writes_fail_as_ordered_and_then_no_more(
    runtime: NamespaceRuntime, state: Path, error: str, words: str
) -> None:
    script = "echo up; while [ ! -e go ]; do sleep 0.05; done; for i in 1 2 3; do echo $i > f && cat f; done"
    await runtime.start(pod(state, f"({script}) 2>&1"))
    await wait_for_log(runtime, "pod1", "up")
    assert runtime.volumes.order("v1", Orders(failing_writes=2, error=error))
    (state / "volumes/v1/go").touch()
    await finish(runtime, "pod1")
    said = runtime.log_path("pod1").read_text(encoding="utf-8").splitlines()
    assert [words in line for line in said] == [False, True, True, False]
    await runtime.remove("pod1")


async def test_a_share_of_reads_and_writes_fails(runtime: NamespaceRuntime, state: Path) -> None:
    script = "for i in $(seq 60); do echo $i 2>/dev/null > f || echo failed; done; true"
    said = await say(runtime, state, script, dataclasses.replace(QUICK, eio_rate=0.5))
    assert 10 < said.count("failed") < 50


async def test_it_stalls_when_told_so_and_goes_on(runtime: NamespaceRuntime, state: Path) -> None:
    script = "echo up; while [ ! -e go ]; do sleep 0.05; done; echo a > f; cat f"
    await runtime.start(pod(state, script))
    await wait_for_log(runtime, "pod1", "up")
    began = time.monotonic()
    assert runtime.volumes.order("v1", Orders(stalled_until=time.time() + 3))
    (state / "volumes/v1/go").touch()
    await finish(runtime, "pod1")
    assert time.monotonic() - began > 2.5
    assert runtime.log_path("pod1").read_text(encoding="utf-8") == "up\na\n"
    await runtime.remove("pod1")


async def test_a_pod_that_waits_for_its_volume_is_ended_all_the_same(state: Path) -> None:
    runtime = NamespaceRuntime(state, grace_seconds=1.0, keeper_seconds=5.0)
    (state / "volumes/v1").mkdir(parents=True)
    await runtime.start(pod(state, "echo up; while :; do date > f; sleep 0.05; done"))
    await wait_for_log(runtime, "pod1", "up")
    assert runtime.volumes.order("v1", Orders(stalled_until=time.time() + 600))
    await asyncio.sleep(0.5)
    with pods.pid_namespace(state, "pod1") as inside:
        await runtime.remove("pod1")
        assert traces(state) == []
        assert pods.processes_in(inside) == []


async def test_a_share_of_writes_stalls(runtime: NamespaceRuntime, state: Path) -> None:
    script = "s=$(date +%s%N); echo a > f; echo $((($(date +%s%N) - s) / 1000000))"
    said = await say(runtime, state, script, dataclasses.replace(QUICK, stall_rate=1.0, stall_seconds=0.7))
    assert int(said[0]) >= 700


async def test_each_open_takes_its_time(runtime: NamespaceRuntime, state: Path) -> None:
    script = "s=$(date +%s%N); for i in 1 2 3 4 5; do : > f$i; done; echo $((($(date +%s%N) - s) / 1000000))"
    said = await say(runtime, state, script, dataclasses.replace(QUICK, open_ms=60))
    assert int(said[0]) >= 300


async def test_it_has_no_extended_attributes_no_devices_and_no_room_set_aside(
    runtime: NamespaceRuntime, state: Path
) -> None:
    program = "import os; open('f', 'w').close(); os.setxattr('f', 'user.a', b'1')"
    script = f"""/usr/bin/python3 -c "{program}" 2>&1 | tail -1; mknod n c 1 3; fallocate -l 1M f; mkfifo p && echo p"""
    said = await say(runtime, state, script)
    assert [line.partition("]")[2] or line.rpartition(": ")[2] for line in said] == [
        " Operation not supported: 'f'",
        "Operation not permitted",
        "Operation not supported",
        "p",
    ]


async def test_files_are_renamed_linked_cut_and_read_by_their_handles(runtime: NamespaceRuntime, state: Path) -> None:
    program = """
import os, tempfile
with tempfile.TemporaryFile(dir='.') as file:
    file.write(b'x' * 100); file.flush(); file.truncate(10)
    print(os.fstat(file.fileno()).st_size, os.listdir('.'))
open('a', 'w').write('a'); open('b', 'w').write('b'); os.rename('a', 'b'); os.link('b', 'c'); os.symlink('b', 'd')
print(open('b').read(), os.stat('c').st_nlink, os.readlink('d'), os.path.samefile('b', 'c'))
os.utime('b', ns=(5, 7)); print(os.stat('b').st_mtime_ns); os.utime('b'); print(os.stat('b').st_mtime > 1e9)
with open('b', 'a') as file: file.write('more')
print(open('b').read()); os.mkdir('e'); os.remove('c'); os.rmdir('e'); print(sorted(os.listdir('.')))
"""
    said = await say(runtime, state, f"/usr/bin/python3 - <<'END'\n{program}\nEND\n")
    assert said == ["10 []", "a 2 b True", "7", "True", "amore", "['b', 'd']"]


LOCK = """/usr/bin/python3 -c "
import fcntl
file = open('lock', 'w')
fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
print('locked', flush=True)
{then}" """


async def test_two_pods_share_one_mount_and_its_locks(runtime: NamespaceRuntime, state: Path) -> None:
    await runtime.start(pod(state, LOCK.format(then="import time; time.sleep(600)"), pod_id="holder"))
    await wait_for_log(runtime, "holder", "locked")
    await runtime.start(pod(state, f"{LOCK.format(then='pass')} 2>&1 | tail -1; echo b > f", pod_id="other"))
    await finish(runtime, "other")
    assert "BlockingIOError" in runtime.log_path("other").read_text(encoding="utf-8")
    assert (state / "volumes/v1/f").read_text(encoding="utf-8") == "b\n"
    servers = pods.volume_servers(state)
    assert len(servers) == 1
    await runtime.remove("other")
    assert pods.volume_servers(state) == servers
    await runtime.remove("holder")
    assert pods.volume_servers(state) == []


async def test_locks_can_be_refused(runtime: NamespaceRuntime, state: Path) -> None:
    script = f"{LOCK.format(then='pass')} 2>&1 | tail -1"
    assert "No locks available" in (await say(runtime, state, script, dataclasses.replace(QUICK, locks="refused")))[0]


async def test_the_server_outlives_a_stop_and_takes_other_modes_at_the_next_mount(
    runtime: NamespaceRuntime, state: Path
) -> None:
    await runtime.start(pod(state, "echo kept > f; sleep infinity"))
    await pods.until((state / "volumes/v1/f").exists)
    before = pods.volume_servers(state)
    await runtime.stop("pod1")
    assert pods.volume_servers(state) == before
    await runtime.start(pod(state, "cat f"))
    assert pods.volume_servers(state) == before
    await finish(runtime, "pod1")
    await runtime.start(pod(state, "chmod 600 f; stat -c %a f", dataclasses.replace(QUICK, modes="obeyed")))
    await finish(runtime, "pod1")
    assert runtime.log_path("pod1").read_text(encoding="utf-8").splitlines()[-2:] == ["kept", "600"]
    assert pods.volume_servers(state) != before
    await runtime.remove("pod1")


async def test_another_mode_waits_while_a_pod_has_the_volume(runtime: NamespaceRuntime, state: Path) -> None:
    await runtime.start(pod(state, "echo up; sleep infinity"))
    await wait_for_log(runtime, "pod1", "up")
    before = pods.volume_servers(state)
    await runtime.start(pod(state, "echo up", dataclasses.replace(QUICK, modes="obeyed"), pod_id="other"))
    assert pods.volume_servers(state) == before
    for pod_id in ("pod1", "other"):
        await runtime.remove(pod_id)


async def test_a_killed_emulators_server_is_taken_up_again(runtime: NamespaceRuntime, state: Path) -> None:
    made = pod(state, "echo up; while sleep 0.1; do date > f; done")
    with child_that_starts(state, made) as emulator:
        assert emulator.stdout is not None
        assert emulator.stdout.readline() == b"up\n"
        emulator.kill()
    before = pods.volume_servers(state)
    await runtime.adopt({"pod1": made})
    assert (await runtime.status("pod1")).running
    await pods.until((state / "volumes/v1/f").exists)
    assert pods.volume_servers(state) == before
    await runtime.stop("pod1")
    await runtime.adopt({"pod1": made})
    assert pods.volume_servers(state) == before, "a stopped pod still has its volume"
    await runtime.adopt({})
    assert traces(state) == []


async def test_a_server_that_died_leaves_pods_without_their_volume_until_their_next_start(
    runtime: NamespaceRuntime, state: Path
) -> None:
    await runtime.start(pod(state, "echo up; while [ -e . ]; do sleep 0.05; done; ls 2>&1; true"))
    await wait_for_log(runtime, "pod1", "up")
    served = volume_servers.read_served(Home(state / "volume-servers/v1"))
    assert served is not None
    processes.send(served.process, signal.SIGKILL)
    await finish(runtime, "pod1")
    assert "Transport endpoint is not connected" in runtime.log_path("pod1").read_text(encoding="utf-8")
    await runtime.start(pod(state, "echo again > f; cat f"))
    await finish(runtime, "pod1")
    assert runtime.log_path("pod1").read_text(encoding="utf-8").endswith("again\n")
    await runtime.remove("pod1")


async def test_a_server_whose_state_folder_was_deleted_is_ended_by_the_next_emulator(
    runtime: NamespaceRuntime, state: Path, tmp_path: Path
) -> None:
    with child_that_starts(state, pod(state, "echo up; sleep infinity")) as emulator:
        assert emulator.stdout is not None
        assert emulator.stdout.readline() == b"up\n"
        emulator.kill()
    assert len(pods.volume_servers(state)) == 1
    shutil.rmtree(state)
    await NamespaceRuntime(tmp_path / "another").adopt({})
    await pods.until(lambda: pods.volume_servers(state) == [])
    (state / "namespace").mkdir(parents=True)  # for the runtime that is still to end


async def test_without_the_device_it_is_a_plain_directory_and_says_so(state: Path, tmp_path: Path) -> None:
    runtime = NamespaceRuntime(state, fuse_device=tmp_path / "fuse")
    (state / "volumes/v1").mkdir(parents=True)
    assert runtime.volumes.plain == f"{tmp_path / 'fuse'} cannot be opened: No such file or directory"
    assert await say(runtime, state, "touch f; chown 1:1 f; stat -c %u f") == ["1"]


async def test_several_starts_at_once_make_one_server(runtime: NamespaceRuntime, state: Path) -> None:
    ids = [f"pod{number}" for number in range(3)]
    await asyncio.gather(*(runtime.start(pod(state, "echo up; sleep infinity", pod_id=name)) for name in ids))
    assert len(pods.volume_servers(state)) == 1
    for name in ids:
        await runtime.remove(name)
