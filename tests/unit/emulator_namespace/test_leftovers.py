"""What a pod leaves on the machine: nothing, however it or the emulator ended."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.emulator.runtimes import ContainerSpec
from tests.emulator.runtimes import namespace_network as network
from tests.emulator.runtimes import namespace_processes as processes
from tests.emulator.runtimes import namespace_record as records
from tests.emulator.runtimes.namespace import NamespaceRuntime
from tests.emulator.runtimes.namespace_machine import MachineRecord
from tests.unit.emulator_namespace.pods import (
    child_that_starts,
    forwarding,
    needs_namespaces,
    own_network,
    pid_namespace,
    processes_in,
    spec,
    traces,
    until,
    wait_for_log,
)

pytestmark = needs_namespaces

# Processes that resist: one ignores signals, one has left its session.
STUBBORN = "trap '' HUP INT; setsid sleep 1000 & (trap '' TERM; sleep 1000) & echo up; wait"


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[Path]:
    made = (tmp_path / "state").absolute()
    yield made
    await NamespaceRuntime(made).adopt({})


async def test_removing_a_pod_leaves_nothing(state: Path) -> None:
    before = forwarding()
    runtime = NamespaceRuntime(state)
    await runtime.start(spec("pod1", STUBBORN))
    await wait_for_log(runtime, "pod1", "up")
    with pid_namespace(state, "pod1") as namespace:
        assert len(processes_in(namespace)) >= 3
        assert any(trace.startswith("link") for trace in traces(state))
        await runtime.remove("pod1")
        assert traces(state) == []
        assert processes_in(namespace) == []
        after = forwarding()  # nothing, before or now, where another emulator of this machine had pods
        assert [name for name in before.keys() & after.keys() if before[name] != after[name]] == []


async def test_a_stopped_pod_leaves_only_its_log_and_how_it_ended(state: Path) -> None:
    runtime = NamespaceRuntime(state)
    await runtime.start(spec("pod1", STUBBORN))
    await wait_for_log(runtime, "pod1", "up")
    await runtime.stop("pod1")
    home = state / "namespace/pod1"
    assert sorted(path.name for path in home.iterdir()) == ["exit.json", "log", "record.json"]
    assert (await runtime.status("pod1")).exit_code == 137
    await runtime.remove("pod1")
    await runtime.remove("pod1")
    assert traces(state) == []


async def test_a_cancelled_start_does_not_overlap_the_stop_after_it(state: Path) -> None:
    runtime = NamespaceRuntime(state)
    starting = asyncio.create_task(runtime.start(spec("pod1", STUBBORN)))
    await asyncio.sleep(0)  # it is under way in its thread now
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await runtime.remove("pod1")
    assert traces(state) == []


async def test_one_pod_gone_leaves_the_others_their_network(state: Path) -> None:
    runtime = NamespaceRuntime(state)
    await runtime.start(spec("pod1", "sleep infinity"))
    await runtime.start(spec("pod2", "sleep infinity"))
    await runtime.remove("pod1")
    found = traces(state)
    assert len([trace for trace in found if trace.startswith("link")]) == 1
    assert f"table {network.table_name(network.owner_tag(state))}" in found
    await runtime.remove("pod2")
    assert traces(state) == []


async def test_two_emulators_start_pods_at_once_without_sharing_an_address(tmp_path: Path) -> None:
    states = [(tmp_path / name).resolve() for name in ("one", "other")]
    runtimes = [NamespaceRuntime(state) for state in states]
    pods = [(runtime, pod_id) for runtime in runtimes for pod_id in ("pod1", "pod2")]
    await asyncio.gather(*(runtime.start(spec(pod_id, "sleep infinity")) for runtime, pod_id in pods))
    assert len({runtime.address(pod_id, 22) for runtime, pod_id in pods}) == 4
    await runtimes[0].adopt({})
    assert (await runtimes[1].status("pod2")).running
    assert [trace for trace in traces(states[1]) if trace.startswith("table")]
    await runtimes[1].adopt({})
    assert [traces(state) for state in states] == [[], []]


async def test_pods_outlive_a_killed_emulator_and_are_taken_up_again(state: Path) -> None:
    pod = spec("pod1", "echo up; sleep infinity")
    _start_and_kill(state, pod)
    runtime = NamespaceRuntime(state)
    await runtime.adopt({"pod1": pod})
    status = await runtime.status("pod1")
    assert status.running
    assert runtime.address("pod1", 22)[1] == 22
    await runtime.start(spec("pod2", "sleep infinity"))
    assert runtime.address("pod1", 22)[0] != runtime.address("pod2", 22)[0]
    for pod_id in ("pod1", "pod2"):
        await runtime.remove(pod_id)
    assert traces(state) == []


async def test_pods_that_a_killed_emulator_forgot_are_cleaned_away(state: Path) -> None:
    _start_and_kill(state, spec("pod1", STUBBORN))
    with pid_namespace(state, "pod1") as namespace:
        await NamespaceRuntime(state).adopt({})
        assert traces(state) == []
        assert processes_in(namespace) == []


async def test_a_pod_whose_state_folder_was_deleted_is_ended_by_the_next_emulator(state: Path, tmp_path: Path) -> None:
    _start_and_kill(state, spec("pod1", STUBBORN))
    with pid_namespace(state, "pod1") as namespace:
        shutil.rmtree(state)
        await NamespaceRuntime(tmp_path / "another").adopt({})
        # Any emulator of this machine ends such a pod, and one that is at it just now may not have come to its end.
        await until(lambda: processes_in(namespace) == [] and traces(state) == [])


async def test_a_pod_that_died_while_the_emulator_was_down_has_ended(state: Path) -> None:
    pod = spec("pod1", "sleep infinity")
    _start_and_kill(state, pod)
    record = records.read(state / "namespace/pod1")
    assert record is not None
    processes.send(record.init, signal.SIGKILL)
    assert processes.wait_gone(record.keeper, 60)
    runtime = NamespaceRuntime(state)
    await runtime.adopt({"pod1": pod})
    status = await runtime.status("pod1")
    assert (status.running, status.exit_code) == (False, 137)
    assert not [trace for trace in traces(state) if not trace.startswith("file")]
    await runtime.remove("pod1")


async def test_a_pod_ends_with_its_keeper(state: Path) -> None:
    runtime = NamespaceRuntime(state)
    await runtime.start(spec("pod1", STUBBORN))
    await wait_for_log(runtime, "pod1", "up")
    with pid_namespace(state, "pod1") as namespace:
        record = records.read(state / "namespace/pod1")
        assert record is not None
        processes.send(record.keeper, signal.SIGKILL)
        assert processes.wait_gone(record.init, 60)
        assert processes_in(namespace) == []
        assert not (await runtime.status("pod1")).running
        await runtime.remove("pod1")
        assert traces(state) == []


async def test_what_a_start_cut_short_left_is_cleaned_away(state: Path) -> None:
    """The emulator was killed after the network was made and before the record was written."""
    runtime = NamespaceRuntime(state)
    owner = network.owner_tag(state)
    (state / "namespace/never").mkdir()
    with own_network() as half_made:
        with MachineRecord().lock():  # or else another emulator takes the same network
            subnet = network.free_subnet(network.networks_in_use())
            network.connect(network.link_name(owner, "never"), subnet, half_made)
            network.apply_rules(owner, {"never": subnet}, [])
        await runtime.adopt({})
    assert traces(state) == []


def _start_and_kill(state: Path, pod: ContainerSpec) -> None:
    with child_that_starts(state, pod) as emulator:
        try:
            assert emulator.stdout is not None
            assert emulator.stdout.readline() == b"up\n"
        finally:
            emulator.kill()
