"""A real pod on a volume that gives everything to root and ignores or obeys modes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from provisioning import contract
from provisioning.contract import ProvisionPlan
from tests.comfyui.publication import Published, publish
from tests.e2e import isolation_check
from tests.emulator.runtimes import volume_servers
from tests.emulator.runtimes.namespace import NamespaceRuntime
from tests.emulator.runtimes.volume_behaviour import Behaviour
from tests.integration.provisioning import kept
from tests.integration.provisioning.conftest import SECRETS, VOLUME_KEY
from tests.integration.provisioning.real_pod import RealPod, served_inside
from tests.unit.emulator_namespace.pods import needs_namespaces

_REASON = volume_servers.why_not()
pytestmark = [
    *needs_namespaces,
    pytest.mark.skipif(_REASON is not None, reason=f"no volumes by FUSE: {_REASON}"),
    pytest.mark.slow,
    pytest.mark.timeout(900),
]
CANARIES = (*vars(SECRETS).values(), VOLUME_KEY, "canary-pod-key")
GATEWAY, COMFYUI = f"http://127.0.0.1:{contract.GATEWAY_PORT}", f"http://127.0.0.1:{contract.COMFYUI_PORT}"


@pytest.fixture(params=["ignored", "obeyed"])
def behaviour(request: pytest.FixtureRequest) -> Behaviour:
    return Behaviour(modes=request.param, quota_bytes=20 * 10**9)


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Published]:
    directory = tmp_path_factory.mktemp("inside")
    return directory, publish(directory)


@pytest.fixture
async def pod(tmp_path: Path, behaviour: Behaviour, inside: tuple[Path, Published]) -> AsyncIterator[RealPod]:
    runtime = NamespaceRuntime(tmp_path / "state")
    volume = tmp_path / "state/volumes/v1"
    volume.mkdir(parents=True)
    made = RealPod(runtime, tmp_path / "state", volume, inside[0], behaviour)
    await made.start()
    yield made
    await made.stop()
    await runtime.adopt({})


@pytest.fixture
def wanted(plan: ProvisionPlan, published: tuple[str, Published]) -> ProvisionPlan:
    return served_inside(plan, published[0])


async def _hold(pod: RealPod) -> None:
    isolation_check.check_report(json.loads(await pod.run("cd / && exec /usr/bin/python3 -", isolation_check.INTRUDER)))


def _no_secret_lies_in_clear(volume: Path) -> None:
    for path in volume.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not [canary for canary in CANARIES if canary and canary.encode() in data], path


async def test_it_is_installed_isolated_and_starts_again_without_a_network(pod: RealPod, wanted: ProvisionPlan) -> None:
    result = await pod.push(wanted)
    assert result["isolation"] == "landlock"
    (told,) = [line for line in pod.said if "volume: done" in line]
    assert f"chown refused, chmod {pod.behaviour.modes}, df shows the cluster" in told
    _no_secret_lies_in_clear(pod.volume)
    await _hold(pod)
    left = await kept.leave_files(pod)

    await pod.stop()
    await pod.start()
    pod.cut_network()
    await pod.wait(f"{GATEWAY}/livez")
    await pod.wait(f"{COMFYUI}/system_stats")
    await kept.find_files(pod, left)
    await _hold(pod)


async def test_what_was_changed_on_the_volume_is_refused_and_the_next_up_makes_it_anew(
    pod: RealPod, wanted: ProvisionPlan
) -> None:
    await pod.push(wanted)
    archives = pod.volume / "comfyui-runpod" / "archives"
    (gateway,) = archives.glob("gateway-*.tar")
    (source,) = archives.glob("source-comfyui-*.tar")
    await pod.stop()
    for path in (gateway, source):
        data = bytearray(path.read_bytes())
        data[600] ^= 1
        path.write_bytes(data)
    await pod.start()
    with pytest.raises(AssertionError, match="was not written by this stack, or was changed since"):
        await pod.wait(f"{GATEWAY}/livez", 40)
    pod.said.clear()
    result = await pod.push(wanted)
    assert result["isolation"] == "landlock"
    assert len([line for line in pod.said if "it is rebuilt now" in line]) == 2
    await pod.wait(f"{GATEWAY}/livez")


async def test_without_landlock_the_folder_is_closed_and_models_are_copied(pod: RealPod, wanted: ProvisionPlan) -> None:
    result = await pod.push(replace(wanted, isolation="folder"))
    assert result["isolation"] == "folder"
    await _hold(pod)
    await pod.stop()
    await pod.start()
    pod.cut_network()
    await pod.wait(f"{COMFYUI}/system_stats")
    await _hold(pod)


async def test_a_process_that_was_started_before_landlock_does_not_keep_its_access(
    pod: RealPod, wanted: ProvisionPlan
) -> None:
    """It left ComfyUI's process group, so nothing that stops ComfyUI stops it."""
    await pod.push(replace(wanted, isolation="folder"))
    user = f"--reuid={contract.COMFYUI_UID} --regid={contract.COMFYUI_UID} --clear-groups"
    await pod.run(f"setsid -f setpriv {user} sleep 100000 </dev/null >/dev/null 2>&1")
    result = await pod.push(wanted)
    assert result["isolation"] == "landlock"
    assert "sleep 100000" not in await pod.run("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '; true")
    await pod.wait(f"{COMFYUI}/system_stats")
    await _hold(pod)
