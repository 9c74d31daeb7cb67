"""What is wrong with the settings is said at preview, in one sentence that names the file, the key and the remedy."""

from __future__ import annotations

import socket

import pytest

from tests.integration.faults.bench import Bench, refusal

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
FILE = "stacks/Pulumi.local.yaml"


@pytest.fixture(scope="module")
def said_of_a_bad_file(checkout_bench: Bench) -> str:
    """What one preview says of a stack file with several faults: all of them are named in one go."""
    bench = checkout_bench
    with bench.untouched_afterwards():
        bench.edit("diskGb: 30", "diskGb: thirty")
        bench.edit("  comfyui-runpod:budget:", "  comfyui-runpod:bugdet: 3\n  comfyui-runpod:budget:")
        bench.edit_models("  sizeBytes: 1048776", "  sizeBytes: 1048776\n- name: new.safetensors\n  folder: loras")
        return refusal(bench.checkout.make("preview"))


def test_an_unknown_key_is_named(said_of_a_bad_file: str) -> None:
    assert f"{FILE}: bugdet: unknown key; remove it or correct its spelling" in said_of_a_bad_file


def test_a_wrong_type_is_named(said_of_a_bad_file: str) -> None:
    assert f"{FILE}: pod.diskGb: Input should be a valid integer" in said_of_a_bad_file
    assert "(found 'thirty')" in said_of_a_bad_file


def test_a_model_without_a_url_stops_the_preview_unless_it_is_optional(said_of_a_bad_file: str) -> None:
    assert "stacks/models/stand-in.yaml: models[1]: new.safetensors: give url, or mark it optional: true" in (
        said_of_a_bad_file
    )


def test_a_gpu_that_does_not_exist(bench: Bench) -> None:
    bench.edit("- NVIDIA RTX A5000", "- NVIDIA RTX A5050")
    said = refusal(bench.checkout.make("preview"))
    assert "gpu.candidates: there is no GPU 'NVIDIA RTX A5050'; did you mean NVIDIA RTX A5000" in said


def test_a_volume_smaller_than_its_models(bench: Bench) -> None:
    bench.edit("reserveGb: 8\n", "reserveGb: 8\n    sizeGb: 10\n")
    bench.edit_models("sizeBytes: 1048776\n", "sizeBytes: 21048776000\n")
    said = refusal(bench.checkout.make("preview"))
    assert f"{FILE}: volume.sizeGb: 10 GB are less than the models' 21.1 GB; raise it" in said


def test_a_region_without_the_gpu(bench: Bench) -> None:
    bench.edit("  comfyui-runpod:volume:", "  comfyui-runpod:dataCenters: [EU-RO-1]\n  comfyui-runpod:volume:")
    bench.edit("NVIDIA RTX A5000", "NVIDIA H200")
    bench.edit("NVIDIA GeForce RTX 4090", "NVIDIA H200 NVL")
    said = refusal(bench.checkout.make("preview"))
    assert (
        "dataCenters: EU-RO-1 have none of NVIDIA H200, NVIDIA H200 NVL; they are in EUR-IS-1, US-CA-2, US-KS-2" in said
    )


def test_the_budget_is_held_by_the_engine_before_anything_bills(bench: Bench) -> None:
    bench.edit(r"maxPerHour: \S+", "maxPerHour: 0.2")
    said = refusal(bench.checkout.make("up"))
    assert "[mandatory]" in said
    assert "0.2" in said
    assert bench.account.made("pods") == 0
    assert bench.billed() == []


def test_without_a_key_preview_works_and_up_is_refused(bench: Bench) -> None:
    bench.pulumi("config", "rm", "runpod:apiKey")
    preview = bench.checkout.made("preview")
    assert "the price file" in preview.text
    said = refusal(bench.checkout.make("up"))
    assert "no RunPod API key is configured: run `pulumi config set --secret runpod:apiKey` (or `make init`)" in said


def test_a_key_in_the_environment_alone_is_refused_because_it_would_lie_in_the_state(bench: Bench) -> None:
    bench.pulumi("config", "rm", "runpod:apiKey")
    canary = f"env-{bench.key}"
    said = refusal(bench.checkout.shell(f"RUNPOD_API_KEY={canary} make up"))
    assert "RUNPOD_API_KEY in the environment is not used, because it would be in the state in plain text" in said
    assert canary not in said
    assert bench.checkout.run("grep", "-rl", canary, ".state").out == ""


def test_a_wrong_key_is_said_to_be_wrong(bench: Bench) -> None:
    bench.set_key("rpa_invalid_1")
    said = refusal(bench.checkout.make("preview"))
    assert "401" in said
    assert "runpod:apiKey" in said


def test_an_emulator_that_is_down(bench: Bench) -> None:
    bench.checkout.made("stop-emulator")
    for answer in (bench.pulumi("preview"), bench.checkout.make("-s", "pods")):
        said = refusal(answer)
        assert f"http://127.0.0.1:{bench.account.port}: the connection failed. Nothing was sent." in said
        assert "start the emulator (`make up` does)" in said


def test_a_port_that_is_in_use(bench: Bench) -> None:
    bench.checkout.made("stop-emulator")
    with socket.create_server(("127.0.0.1", bench.account.port)):
        said = refusal(bench.checkout.make("up"))
    assert f"port {bench.account.port} on 127.0.0.1 is in use by something that is not this emulator" in said
    assert "runpod:apiUrl" in said
