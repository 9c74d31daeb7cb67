from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.errors import LockError, StackSettingsError
from components.placement import Requirement, Tier
from provisioning.contract import ModelPin, SourcePin
from stacks import lockfile, plan
from stacks.lockfile import Lock, LockedModel
from stacks.settings import Settings, parse
from tests.unit.stacks.stack_file import CONFIG, raw

MODEL = CONFIG["models"][0]
HASH = "c" * 64


def chosen(**changes: object) -> Settings:
    return parse("dev", raw(**changes), set())


@pytest.mark.parametrize(
    ("models", "volume", "size_gb"),
    [
        ([MODEL], {}, 35),  # 10 GB and a tenth, and 20 in reserve, rounded up to 5
        ([MODEL], {"reserveGb": 4}, 15),
        ([], {"reserveGb": 2}, 10),
        ([MODEL | {"sizeBytes": 0, "approxGb": 100}], {}, 130),
        ([MODEL], {"sizeGb": 10}, 10),
    ],
)
def test_the_volume_is_sized_from_the_models(models: list[Any], volume: dict[str, Any], size_gb: int) -> None:
    assert plan.volume_gb(chosen(models=models, volume=volume)) == size_gb


def test_a_volume_smaller_than_the_models_is_refused() -> None:
    settings = chosen(models=[MODEL | {"sizeBytes": 11_000_000_000}], volume={"sizeGb": 10})
    with pytest.raises(StackSettingsError, match=r"Pulumi\.dev\.yaml: volume\.sizeGb: 10 GB .* 11\.0 GB; raise it"):
        plan.volume_gb(settings)


def test_a_requirement_is_handed_to_placement() -> None:
    need = {"minVramGb": 24, "maxPricePerHour": 1, "tiers": ["Mid"], "exclude": ["NVIDIA L4"]}
    wanted = plan.placement_request(chosen(gpu={"require": need, "count": 2}, dataCenters=["EU-RO-1"]))
    assert wanted.requirement == Requirement(24, 1, frozenset({Tier.MID}), frozenset({"NVIDIA L4"}))
    assert (wanted.count, wanted.data_centers) == (2, ("EU-RO-1",))


def test_what_is_installed_is_what_the_settings_say() -> None:
    missing = {"name": "later", "optional": True}
    provision = plan.provision(chosen(nodes=[*CONFIG["nodes"], missing]), Lock())
    assert provision.comfyui.commit == "a" * 40
    assert "--hash=" in provision.comfyui.requirements
    assert [node.name for node in provision.nodes] == ["scripts"]
    assert provision.models == (ModelPin("ae.safetensors", "vae", MODEL["url"], "", 10_000_000_000),)


def test_a_recorded_hash_is_enforced_from_then_on() -> None:
    lock = Lock(models={MODEL["url"]: LockedModel(HASH, 123)})
    (model,) = plan.provision(chosen(), lock).models
    assert (model.sha256, model.size_bytes) == (HASH, 123)


def test_settings_that_contradict_the_lock_are_refused() -> None:
    lock = Lock(models={MODEL["url"]: LockedModel(HASH, 123)})
    with pytest.raises(LockError, match=r"ae\.safetensors: sha256 dddd"):
        plan.provision(chosen(models=[MODEL | {"sha256": "d" * 64}]), lock)


def test_a_tag_that_moved_is_refused() -> None:
    lock = Lock(sources={"https://example.org/comfyui.git@v0.38.0": "f" * 40})
    with pytest.raises(LockError, match=r"ComfyUI: v0\.38\.0 was ffff"):
        plan.provision(chosen(), lock)


def test_the_lock_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "pins.lock.json"
    source = SourcePin("ComfyUI", "https://example.org/comfyui.git", "v0.38.0", "a" * 40)
    known, unknown = (
        ModelPin("a.gguf", "vae", "https://example.org/a", HASH, 5),
        ModelPin("b.gguf", "vae", "https://example.org/b"),
    )
    lock = lockfile.load(path).record([source], [known, unknown])
    lockfile.save(lock, path)
    assert lockfile.load(path) == lock
    assert lock == Lock({known.url: LockedModel(HASH, 5)}, {"https://example.org/comfyui.git@v0.38.0": "a" * 40})


def test_loopback_addresses_are_not_locked() -> None:
    source = SourcePin("ComfyUI", "http://127.0.0.1:8642/files/comfyui.git", "v0.38.1", "a" * 40)
    model = ModelPin("a.gguf", "vae", "http://127.0.0.1:8642/files/a", HASH, 5)
    assert Lock().record([source], [model]) == Lock()


@pytest.mark.parametrize("text", ["", "{}", '{"models": [], "sources": {}}', '{"models": {"u": {}}, "sources": {}}'])
def test_a_damaged_lock_file_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pins.lock.json"
    path.write_text(text)
    with pytest.raises(LockError, match="is damaged; restore it from git"):
        lockfile.load(path)


def test_gateway_options_reach_the_plan_by_the_gateways_own_names() -> None:
    settings = chosen(gateway={"hosts": ["Api.Example.org"], "maxQueuedPerOwner": 5})
    assert plan.provision(settings, Lock()).gateway.options == {"hosts": ["api.example.org"], "max_queued_per_owner": 5}
