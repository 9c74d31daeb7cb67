"""What is to be run follows from what was seen, and from nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from provisioning.contract import ModelPin, SourcePin
from provisioning.errors import InstallError, ProvisioningError
from provisioning.install import nodes, steps, venvs
from provisioning.install.facts import Facts, observe
from provisioning.install.paths import InstallPaths
from provisioning.install.steps import STEPS, decide, validate
from provisioning.layout import Layout
from provisioning.progress import ProgressLog
from tests.unit.provisioning.install.contexts import COMMIT, context

READY = Facts(
    owns_machine=True, missing_packages=(), users=True, directories=True, comfyui_source=True, node_sources=True,
    node_links=True, comfyui_venv=True, gateway_venv=True, archives=True, models=True,
)  # fmt: skip


def test_a_finished_pod_needs_nothing() -> None:
    assert decide(STEPS, READY) == ()


@pytest.mark.parametrize(
    ("seen", "due"),
    [
        ({"missing_packages": ("git",)}, ["packages"]),
        ({"missing_packages": ("git",), "owns_machine": False, "users": False}, []),
        ({"users": False}, ["users"]),
        ({"directories": False}, ["directories"]),
        ({"comfyui_source": False}, ["comfyui"]),
        ({"node_sources": False}, ["nodes"]),
        ({"node_links": False}, ["nodes"]),
        ({"comfyui_venv": False}, ["comfyui-packages"]),
        ({"gateway_venv": False, "models": False}, ["gateway-packages", "models"]),
        ({"archives": False}, ["archives"]),
    ],
)
def test_only_what_is_missing_is_run_and_in_order(seen: dict[str, object], due: list[str]) -> None:
    assert [step.name for step in decide(STEPS, replace(READY, **seen))] == due  # type: ignore[arg-type]


def test_an_empty_volume_needs_every_step(layout: Layout, progress: ProgressLog) -> None:
    facts = observe(context(layout, progress))
    assert {step.name for step in decide(STEPS, replace(facts, owns_machine=True, missing_packages=("git",)))} == {
        step.name for step in STEPS
    }


@pytest.mark.parametrize("name", ["ComfyUI-Manager", "comfyui_manager", "COMFYUI-MANAGER"])
def test_the_manager_is_refused_under_any_spelling(layout: Layout, progress: ProgressLog, name: str) -> None:
    pin = SourcePin(name, "https://example.org/x", "main", COMMIT)
    with pytest.raises(InstallError, match="refused"):
        validate(context(layout, progress, nodes=(pin,)))


@pytest.mark.parametrize(
    "end", ["ComfyUI-Manager.git/", "ComfyUI%2DManager", "ComfyUI-Manager.git?a=b", "ComfyUI-Manager#x"]
)
def test_a_renamed_manager_is_refused_by_its_repository(layout: Layout, progress: ProgressLog, end: str) -> None:
    pin = SourcePin("harmless", f"https://github.com/Comfy-Org/{end}", "main", COMMIT)
    with pytest.raises(InstallError, match="refused"):
        validate(context(layout, progress, nodes=(pin,)))


@pytest.mark.parametrize(
    "changes",
    [
        {"comfyui": SourcePin("comfyui", "https://example.org", "v1", "main")},
        {"nodes": (SourcePin("../up", "https://example.org", "v1", COMMIT),)},
        {"models": (ModelPin("a.ckpt", "loras", "https://example.org/a"),)},
        {"models": (ModelPin("a.safetensors", "loras", ""),)},
    ],
)
def test_a_plan_that_cannot_end_well_is_refused_at_once(
    layout: Layout, progress: ProgressLog, changes: dict[str, object]
) -> None:
    with pytest.raises(ProvisioningError):
        validate(context(layout, progress, **changes))


@pytest.mark.parametrize(("version", "fine"), [("0.27.9", False), ("0.28.0", True), ("1.0", True), (None, False)])
def test_an_unsafe_comfyui_is_refused(layout: Layout, progress: ProgressLog, version: str | None, fine: bool) -> None:
    here = context(layout, progress)
    source = InstallPaths(here).comfyui_source
    source.mkdir(parents=True)
    if version:
        (source / "comfyui_version.py").write_text(f'__version__ = "{version}"\n')
    if fine:
        steps.check_comfyui(here)
        return
    with pytest.raises(InstallError, match=r"0\.28\.0 or later"):
        steps.check_comfyui(here)


@pytest.mark.parametrize(
    ("found", "required", "fine"),
    [
        ("2.6.0+cu124", True, True),
        ("2.10.1", True, True),
        ("2.5.1", False, False),
        ("", True, False),
        ("", False, True),
    ],
)
def test_torch_is_new_enough_or_not_needed(found: str, required: bool, fine: bool) -> None:
    if fine:
        venvs.check_torch(found, required=required)
        return
    with pytest.raises(InstallError):
        venvs.check_torch(found, required=required)


def test_nodes_are_linked_exactly(layout: Layout, progress: ProgressLog) -> None:
    here = context(layout, progress)
    (layout.nodes / "left-over").mkdir(parents=True)
    (layout.nodes / "stray.py").write_text("")
    nodes.directory(layout, here.plan.nodes[0]).mkdir(parents=True)
    nodes.link_all(layout, here.plan.nodes)
    assert [path.name for path in layout.nodes.iterdir()] == ["border"]
    assert nodes.linked(layout, here.plan.nodes)
    assert not nodes.linked(layout, ())


def test_another_lock_is_another_environment(layout: Layout, progress: ProgressLog, tmp_path: Path) -> None:
    here, other = context(layout, progress), Layout(tmp_path / "other")
    (other.home).mkdir(parents=True)
    changed = replace(here.plan.comfyui, requirements="numpy==1")
    there = context(layout, progress, comfyui=changed)
    assert InstallPaths(here).comfyui_venv.directory(layout) != InstallPaths(there).comfyui_venv.directory(layout)
