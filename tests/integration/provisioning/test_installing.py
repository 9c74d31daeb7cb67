"""The real installer on a pod in a directory: killed at every step, run twice, restarted without it."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from provisioning import contract
from provisioning.contract import ProvisionPlan
from provisioning.install.steps import STEPS
from tests.integration.provisioning.conftest import SECRETS, DirectoryPod

Pods = Callable[[str], DirectoryPod]


@pytest.mark.slow
def test_killed_ever_later_it_comes_to_the_same_end(pods: Pods, plan: ProvisionPlan) -> None:
    """The first run dies behind its first change, the next behind its second, and so on until one comes through."""
    clean, battered = pods("clean"), pods("battered")
    clean.boot()
    first = clean.finish(clean.start(plan))
    assert first["state"] == "done", first["detail"]
    made = clean.tree()
    clean.halt()

    battered.boot()
    killed = next(count for count in range(200) if battered.run_until_killed(plan, count + 1))
    assert killed > 15
    last = battered.events(f"killed-{killed + 1}")[-1]
    assert last["state"] == "done", last["detail"]
    assert battered.tree() == made


@pytest.mark.slow
def test_a_pod_is_installed_once_restarts_by_itself_and_changes_only_what_changed(
    pods: Pods, plan: ProvisionPlan
) -> None:
    pod = pods("pod")
    pod.boot()
    run = pod.start(plan)
    first = pod.finish(run)
    assert first["state"] == "done", first["detail"]
    assert first["result"]["comfyuiCommit"] == plan.comfyui.commit
    assert len(first["result"]["models"]) == len(plan.models)

    again = pod.start(plan)
    assert pod.finish(again)["result"] == first["result"]
    ran = {event["step"] for event in pod.events(again) if event["state"] == "running"}
    assert ran.isdisjoint({step.name for step in STEPS})

    _secrets_stay_where_they_belong(pod)
    _nothing_is_everybodys_to_write(pod)
    pod.halt()
    assert not pod.answers(contract.GATEWAY_PORT, "/livez")
    pod.boot()
    _until(lambda: pod.answers(contract.COMFYUI_PORT, "/system_stats") and pod.answers(contract.GATEWAY_PORT, "/livez"))

    changed = replace(plan, gateway=replace(plan.gateway, options={"rate_limit_per_minute": 7}), models=plan.models[:1])
    third = pod.start(changed)
    assert pod.finish(third)["state"] == "done"
    events = pod.events(third)
    assert [e["detail"] for e in events if e["detail"].endswith("process group")] == ["gateway: updated process group"]
    links = [path.name for path in pod.layout.model_folders.rglob("*") if path.is_symlink()]
    assert links == [plan.models[0].name]


@pytest.mark.slow
def test_a_stack_takes_over_a_volume_that_another_one_kept(pods: Pods, plan: ProvisionPlan) -> None:
    """What the former stack signed is refused and made anew, the bundle of the very same program too."""
    pod = pods("pod")
    pod.boot()
    assert pod.finish(pod.start(plan))["state"] == "done"
    pod.halt()
    pod.volume_key = "another" * 9
    pod.boot()
    time.sleep(2)
    assert not pod.layout.start.exists()
    run = pod.start(plan)
    assert pod.finish(run)["state"] == "done"
    assert [event for event in pod.events(run) if "it is rebuilt now" in event["detail"]]
    pod.halt()
    pod.boot()
    _until(lambda: pod.answers(contract.COMFYUI_PORT, "/system_stats") and pod.answers(contract.GATEWAY_PORT, "/livez"))


def _secrets_stay_where_they_belong(pod: DirectoryPod) -> None:
    holders = {
        str(path.relative_to(pod.layout.root))
        for path in pod.layout.root.rglob("*")
        if path.is_file()
        and not {"venvs", "archives"} & set(path.parts)
        and SECRETS.client_key.encode() in path.read_bytes()
    }
    assert holders == {"run/comfyui-runpod/gateway.json", "run/comfyui-runpod/services.json"}


def _nothing_is_everybodys_to_write(pod: DirectoryPod) -> None:
    """ComfyUI's user would reach it, and could hold what the installer locks.

    All files on a volume are root's, so the gateway's own folders there are open to it as one of the others; Landlock,
    or the folder that the volume is mounted in, keeps ComfyUI out of them (test_volume_isolation.py).
    """
    own = (pod.layout.gateway_log, pod.layout.files)
    paths = (path for top in (pod.layout.home, pod.layout.local) for path in top.rglob("*"))
    found = [path for path in paths if not path.is_symlink() and path.stat().st_mode & stat.S_IWOTH]
    assert [path for path in found if not any(path.is_relative_to(folder) for folder in own)] == []


@pytest.mark.slow
def test_a_model_with_a_wrong_hash_fails_and_says_so(pods: Pods, plan: ProvisionPlan) -> None:
    pod = pods("pod")
    wrong = replace(plan.models[0], sha256="0" * 64)
    last = pod.finish(pod.start(replace(plan, models=(wrong,), comfyui=replace(plan.comfyui, requirements=""))))
    assert last["state"] == "failed"
    assert wrong.name in last["detail"]
    assert "SHA-256" in last["detail"]
    assert not list(pod.layout.model_folders.rglob("*.safetensors"))


def _until(condition: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)
