from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.errors import LockError
from provisioning.contract import GatewayPlan, ModelPin, ProvisionPlan, SourcePin
from stacks import lockfile
from stacks.relock import relock, reported
from stacks.settings import from_file

HASH = "c" * 64
JIB = "jibMixFlux_v8Accentueight.safetensors"
PLAN = ProvisionPlan(
    comfyui=SourcePin("ComfyUI", "https://example.org/c.git", "v0.38.0", "a" * 40),
    nodes=(),
    models=(ModelPin("a.gguf", "vae", "https://example.org/a"), ModelPin("b.gguf", "vae", "https://example.org/b")),
    gateway=GatewayPlan((), 300, 0.0),
)


def report(commit: str, *models: dict[str, object]) -> str:
    return f"[ 0 s] connecting\n{json.dumps({'comfyuiCommit': commit, 'models': models})}\n"


def test_what_a_pod_found_is_matched_by_folder_and_name() -> None:
    found = {"folder": "vae", "name": "a.gguf", "sha256": HASH, "sizeBytes": 5}
    elsewhere = {"folder": "loras", "name": "b.gguf", "sha256": HASH, "sizeBytes": 6}
    assert reported(PLAN, report("a" * 40, found, elsewhere)) == (
        ModelPin("a.gguf", "vae", "https://example.org/a", HASH, 5),
    )


@pytest.mark.parametrize("output", ["", "push: failed", "{}", '{"models": [{}], "comfyuiCommit": ""}'])
def test_without_a_report_nothing_is_recorded(output: str) -> None:
    with pytest.raises(LockError, match="the installer left no report"):
        reported(PLAN, output)


def test_a_pod_with_another_comfyui_is_not_believed() -> None:
    with pytest.raises(LockError, match="run `make up` first"):
        reported(PLAN, report("b" * 40))


def test_locking_dev_makes_its_unknown_hash_known(tmp_path: Path) -> None:
    path, dev = tmp_path / "pins.lock.json", from_file("dev")
    found = {"folder": "diffusion_models", "name": JIB, "sha256": HASH, "sizeBytes": 5}
    new = relock("dev", report(dev.comfyui.commit, found), path)
    url = next(model.url for model in dev.models if model.name == JIB)
    assert lockfile.load(path).models[url] == lockfile.LockedModel(HASH, 5)
    assert f"{dev.comfyui.repository}@{dev.comfyui.ref}" in new
    assert url in new
    assert not relock("dev", report(dev.comfyui.commit, found), path)


def test_what_this_machine_serves_is_no_fact_about_the_world(tmp_path: Path) -> None:
    path, local = tmp_path / "pins.lock.json", from_file("local")
    found = [{"folder": m.folder, "name": m.name, "sha256": m.sha256, "sizeBytes": 5} for m in local.models]
    assert relock("local", report(local.comfyui.commit, *found), path) == ()
