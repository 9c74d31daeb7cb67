"""Prompts that cannot run are refused with ComfyUI's errors."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.comfyui.conftest import Comfy, Start, Workflow, small

CASES: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("3", {"seed": None}, "required_input_missing", {"details": "seed", "extra_info": {"input_name": "seed"}}),
    ("3", {"model": ["4", 0, 1]}, "bad_linked_input", {"details": "model"}),
    (
        "3",
        {"model": ["4", 1]},
        "return_type_mismatch",
        {"details": "model, received_type(CLIP) mismatch input_type(MODEL)"},
    ),
    (
        "3",
        {"steps": "many"},
        "invalid_input_type",
        {"message": "Failed to convert an input value to a INT value"},
    ),
    ("3", {"steps": 0}, "value_smaller_than_min", {"message": "Value 0 smaller than min of 1"}),
    ("3", {"denoise": 1.5}, "value_bigger_than_max", {"message": "Value 1.5 bigger than max of 1.0"}),
    (
        "4",
        {"ckpt_name": "absent.safetensors"},
        "value_not_in_list",
        {"details": "ckpt_name: 'absent.safetensors' not in ['stand-in-sd.safetensors']"},
    ),
]


def _changed(node_id: str, change: dict[str, Any]) -> Workflow:
    prompt = small()
    inputs = prompt[node_id]["inputs"] | change
    prompt[node_id]["inputs"] = {name: value for name, value in inputs.items() if value is not None}
    return prompt


async def _refused(comfy: Comfy, body: object) -> dict[str, Any]:
    answer: dict[str, Any] = await comfy.post("/prompt", body, status=400)
    assert set(answer) == {"error", "node_errors"}
    assert set(answer["error"]) == {"type", "message", "details", "extra_info"}
    return answer


@pytest.mark.parametrize(("node_id", "change", "kind", "told"), CASES, ids=[case[2] for case in CASES])
async def test_a_wrong_input_is_named(
    comfy: Comfy, node_id: str, change: dict[str, Any], kind: str, told: dict[str, Any]
) -> None:
    answer = await _refused(comfy, {"prompt": _changed(node_id, change)})
    assert answer["error"]["type"] == "prompt_outputs_failed_validation"
    (found,) = answer["node_errors"].values()
    assert list(answer["node_errors"]) == [node_id]
    assert found["dependent_outputs"] == ["9"]
    assert found["class_type"] == small()[node_id]["class_type"]
    (error,) = found["errors"]
    assert error["type"] == kind
    assert {name: error[name] for name in told} == told


async def test_every_wrong_input_of_a_node_is_told(comfy: Comfy) -> None:
    answer = await _refused(comfy, {"prompt": _changed("3", {"steps": 0, "cfg": 900, "scheduler": "none"})})
    kinds = {error["type"] for error in answer["node_errors"]["3"]["errors"]}
    assert kinds == {"value_smaller_than_min", "value_bigger_than_max", "value_not_in_list"}


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"class_type": "Absent", "inputs": {}}, "Node 'Absent' not found. The custom node may not be installed."),
        ({"inputs": {}}, "Node 'ID #3' has no class_type. The workflow may be corrupted or a custom node is missing."),
    ],
)
async def test_an_unknown_node_class_is_refused(comfy: Comfy, node: dict[str, Any], message: str) -> None:
    answer = await _refused(comfy, {"prompt": small() | {"3": node}})
    assert answer["error"]["type"] == "missing_node_type"
    assert answer["error"]["message"] == message
    assert answer["error"]["extra_info"]["node_id"] == "3"
    assert answer["node_errors"] == {}


async def test_a_prompt_without_outputs_is_refused(comfy: Comfy) -> None:
    prompt = small()
    del prompt["9"]
    assert (await _refused(comfy, {"prompt": prompt}))["error"]["type"] == "prompt_no_outputs"
    targets = {"prompt": small(), "partial_execution_targets": ["8"]}
    assert (await _refused(comfy, targets))["error"]["type"] == "prompt_no_outputs"


async def test_a_body_without_prompt_is_refused(comfy: Comfy) -> None:
    assert (await _refused(comfy, {"client_id": "me"}))["error"]["type"] == "no_prompt"


@pytest.mark.parametrize(
    "prompt_id", ["one", 5, "F47AC10B-58CC-4372-A567-0E02B2C3D479", "f47ac10b58cc4372a5670e02b2c3d479"]
)
async def test_a_prompt_id_that_is_no_canonical_uuid_is_refused(comfy: Comfy, prompt_id: object) -> None:
    answer = await _refused(comfy, {"prompt": small(), "prompt_id": prompt_id})
    assert answer["error"]["type"] == "invalid_prompt_id"


async def test_a_cycle_is_refused_at_each_of_its_nodes(comfy: Comfy) -> None:
    prompt = small()
    prompt["20"] = {"class_type": "FluxGuidance", "inputs": {"conditioning": ["21", 0], "guidance": 1.0}}
    prompt["21"] = {"class_type": "FluxGuidance", "inputs": {"conditioning": ["20", 0], "guidance": 1.0}}
    prompt["3"]["inputs"]["positive"] = ["20", 0]
    answer = await _refused(comfy, {"prompt": prompt})
    assert set(answer["node_errors"]) == {"20", "21"}
    (error,) = answer["node_errors"]["20"]["errors"]
    assert error["type"] == "dependency_cycle"
    assert error["details"] == "20 (FluxGuidance) -> 21 (FluxGuidance) -> 20 (FluxGuidance)"


async def test_a_link_to_nowhere_is_an_exception_of_the_validation(comfy: Comfy) -> None:
    answer = await _refused(comfy, {"prompt": _changed("9", {"images": ["99", 0]})})
    (error,) = answer["node_errors"]["9"]["errors"]
    assert error["type"] == "exception_during_validation"
    assert error["extra_info"]["exception_type"] == "KeyError"
    inner = await _refused(comfy, {"prompt": _changed("8", {"samples": ["99", 0]})})
    (error,) = inner["node_errors"]["8"]["errors"]
    assert error["type"] == "exception_during_inner_validation"
    assert error["extra_info"]["traceback"], "the real one leaks its traceback here, and gateways must take it out"


async def test_an_image_that_is_not_there_fails_the_nodes_own_validation(comfy: Comfy) -> None:
    prompt = small()
    prompt["20"] = {"class_type": "LoadImage", "inputs": {"image": "../secret.png"}}
    prompt["9"]["inputs"]["images"] = ["20", 0]
    (error,) = (await _refused(comfy, {"prompt": prompt}))["node_errors"]["20"]["errors"]
    assert error["type"] == "custom_validation_failed"
    assert error["details"] == "image - Invalid image file: ../secret.png"


async def test_good_outputs_run_although_others_are_refused(comfy: Comfy) -> None:
    prompt = small()
    prompt["20"] = {"class_type": "SaveImage", "inputs": {"filename_prefix": "other"}}
    answer = await comfy.post("/prompt", {"prompt": prompt})
    assert set(answer["node_errors"]) == {"20"}
    assert set((await comfy.result(answer["prompt_id"]))["outputs"]) == {"9"}


async def test_long_lists_are_not_sent_back(start: Start) -> None:
    comfy = await start()
    folder = comfy.base / "models" / "checkpoints"
    folder.mkdir(parents=True)
    for number in range(21):
        (folder / f"{number}.safetensors").touch()
    other = await start("--models-directory", str(comfy.base / "models"))
    (error,) = (await _refused(other, {"prompt": small()}))["node_errors"]["4"]["errors"]
    assert error["details"] == "ckpt_name: 'stand-in-sd.safetensors' not in (list of length 21)"
    assert error["extra_info"]["input_config"] is None
