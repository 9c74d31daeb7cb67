from __future__ import annotations

import dataclasses
import json
from typing import Any

import pulumi
import pytest

from components.budget import known_or
from components.comfyui import plan_hash
from components.environment import Environment, MachineSpec, RuntimeSpec
from components.runpod.binding import Resource
from provisioning import contract
from provisioning.contract import GatewayPlan, ModelPin, ProvisionPlan, PushRequest, SourcePin
from tests.unit.components.recorder import Recorder, settle

PLAN = ProvisionPlan(
    comfyui=SourcePin("ComfyUI", "https://example.org/c.git", "v0.38.0", "a" * 40, "torch --hash=sha256:0"),
    nodes=(SourcePin("scripts", "https://example.org/n.git", "main", "b" * 40),),
    models=(ModelPin("ae.safetensors", "vae", "https://example.org/ae", "c" * 64, 5),),
    gateway=GatewayPlan({"hosts": ["127.0.0.1"], "rate_limit_per_minute": 300}, 0.0),
)
MACHINE = MachineSpec(
    image="runpod/pytorch:1.0.2",
    disk_gb=50,
    gpus=("NVIDIA RTX A5000", "NVIDIA A40"),
    gpu_requirement={},
    gpu_count=1,
    data_centers=("EU-RO-1",),
    replace="before",
    when_stopped="replace",
    ready_timeout_seconds=900,
    install_timeout_seconds=1800,
    min_cuda_version="12.8",
    volume_gb=60,
    keep_volume=False,
    protect_volume=False,
    replaceable_volume="",
    existing_volume="",
)
SOFTWARE = RuntimeSpec(PLAN, "2.8.0", "refuse", "digest0", {"civitai_token": "civ", "hugging_face_token": ""})


def declared(machine: MachineSpec = MACHINE, *, preview: bool = False) -> Recorder:
    def main() -> pulumi.Output[str]:
        comfyui = Environment("dev", machine=machine, software=SOFTWARE).comfyui
        assert comfyui is not None
        return comfyui.command.stdout

    recorder, _ = settle(main, preview=preview)
    return recorder


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return declared()


def test_the_pod_publishes_only_the_gateway_and_ssh(recorder: Recorder) -> None:
    pod = recorder.inputs("dev-gpu-pod")
    assert pod["ports"] == "8189/http,22/tcp"
    assert pod["dockerArgs"] == contract.START_COMMAND
    assert (pod["networkVolumeId"], pod["guard"], pod["name"]) == ("vol0", "guard0", "comfyui-dev-gpu")
    assert pod["gpuTypeIdList"] == ["NVIDIA RTX A5000", "NVIDIA A40"]
    assert pod["whenStopped"] == "replace"


def test_the_pods_environment_is_the_contract_and_secret(recorder: Recorder) -> None:
    env = contract.PodEnv.from_env(recorder.secret("dev-gpu-pod", "env"))
    assert env == contract.PodEnv(contract.boot_script(), "PRIVATE", "ssh-ed25519 AAAA", "cgw_live_x")


def test_the_installer_request_is_a_secret_standard_input(recorder: Recorder) -> None:
    request = PushRequest.from_json(recorder.secret("dev-comfyui-install", "stdin"))
    gateway = dataclasses.replace(PLAN.gateway, usd_per_hour=0.27)
    assert request.target == contract.SshTarget("10.0.0.1", 40022, "ssh-ed25519 AAAA", "PRIVATE")
    assert request.secrets == contract.Secrets("cgw_live_x", "cgw_live_x", "cgw_live_x", "", "civ")
    assert request.plan == dataclasses.replace(PLAN, gateway=gateway)


def test_the_installer_runs_again_for_a_new_program_plan_or_pod(recorder: Recorder) -> None:
    command = recorder.inputs("dev-comfyui-install")
    assert command["environment"] == {"BUNDLE": "digest0", "PLAN": plan_hash(PLAN), "POD": "pod0"}
    assert "delete" not in command, "an unreachable pod must not keep destroy from ending it"
    assert "cgw_live" not in json.dumps([command["create"], command["update"], command["environment"]])


def test_policies_see_pins_and_models_and_no_secret(recorder: Recorder) -> None:
    seen = recorder.inputs("dev-comfyui")
    assert (seen["commit"], seen["torch"], seen["unknownHashes"]) == ("a" * 40, "2.8.0", "refuse")
    assert seen["nodes"] == [{"name": "scripts", "repository": "https://example.org/n.git", "commit": "b" * 40}]
    assert [model["sha256"] for model in seen["models"]] == ["c" * 64]
    assert not {"cgw_live_x", "civ", "PRIVATE"} & set(json.dumps(seen).split('"'))


def test_the_gateways_keys_have_their_prefix_and_checksum(recorder: Recorder) -> None:
    keys = recorder.of_type("runpod:index:RandomSecret")
    assert len(keys) == 4
    assert [key["length"] for key in keys if key["prefix"] == "cgw_live_" and key["checksum"]] == [40, 40]


def test_market_data_is_not_an_input_of_a_component(recorder: Recorder) -> None:
    components = [args for args in recorder.seen.values() if args.typ.startswith("comfyui:")]
    assert len(components) == 5
    assert not [args.name for args in components if "NVIDIA" in json.dumps(args.inputs)]


def test_an_existing_volume_is_used() -> None:
    recorder = declared(dataclasses.replace(MACHINE, existing_volume="old0"))
    assert not recorder.of_type("runpod:index:NetworkVolume")
    assert recorder.inputs("dev-gpu-pod")["networkVolumeId"] == "old0"


def test_the_volume_is_sized_and_placed_with_the_gpu(recorder: Recorder) -> None:
    volume = recorder.inputs("dev-models-volume")
    assert (volume["size"], volume["dataCenterIds"], volume["guard"]) == (60, ["EU-RO-1"], "guard0")
    assert volume["gpuTypeIdList"] == ["NVIDIA RTX A5000", "NVIDIA A40"]
    assert recorder.inputs("dev-guard") == {"stack": "dev", "keepVolumes": False}


@pytest.mark.parametrize("protect", [True, False])
def test_only_the_volume_is_protected_and_kept(monkeypatch: pytest.MonkeyPatch, *, protect: bool) -> None:
    options: dict[str, pulumi.ResourceOptions] = {}
    real = Resource.__init__

    def remember(self: Resource, name: str, inputs: Any, opts: pulumi.ResourceOptions) -> None:  # noqa: ANN401
        options[name] = opts
        real(self, name, inputs, opts)

    monkeypatch.setattr(Resource, "__init__", remember)
    machine = dataclasses.replace(MACHINE, protect_volume=protect, keep_volume=True, replaceable_volume="vol0")
    inputs = declared(machine).inputs("dev-models-volume")
    assert {name for name, opts in options.items() if opts.protect} == ({"dev-models-volume"} if protect else set())
    assert not any(opts.retain_on_delete for opts in options.values()), "the stack file as it is at the end decides"
    assert (inputs["keep"], inputs["mayReplace"]) == (True, "vol0")


@pytest.mark.parametrize(("real", "usd"), [(0.27, 0.27), (pulumi.output.UNKNOWN, 0.74)], ids=["real", "unknown"])
def test_a_real_price_wins_over_the_estimate(real: float, usd: float) -> None:
    _, value = settle(lambda: known_or(pulumi.Output.from_input(real), 0.74), preview=True)
    assert value == usd


def test_the_plans_hash_follows_the_plan() -> None:
    assert plan_hash(PLAN) == plan_hash(dataclasses.replace(PLAN))
    assert plan_hash(PLAN) != plan_hash(dataclasses.replace(PLAN, comfyui_args=("--fast",)))
