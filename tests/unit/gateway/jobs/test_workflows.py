"""Checks of workflows: node classes, sizes, and file names in inputs of every kind."""

from __future__ import annotations

from typing import Any

import pytest

from provisioning.gateway.jobs.file_names import is_foreign
from tests.unit.gateway.conftest import Gate, submit
from tests.unit.gateway.fake import OBJECT_INFO
from tests.unit.gateway.file_references import reference


def node(cls: str, **inputs: object) -> dict[str, Any]:
    return {"1": {"class_type": cls, "inputs": inputs}}


async def refused(gate: Gate, graph: dict[str, Any], *, admin: bool = False) -> str:
    answer = await (gate.admin if admin else gate.alice).post("/prompt", json={"prompt": graph})
    assert gate.comfy.asked("POST", "/prompt") == []
    assert answer.status_code == 422, answer.text
    return str(answer.json()["code"])


@pytest.mark.parametrize(
    "cls", ["Terminal", "IDENode", "LLM_interpreter_tool", "VHS_LoadVideoPath", "LoadImagesFromPath+",
            "LoadText|pysssss", "LoadImageFromUrl", "easy runPython", "vhs_loadvideopath"],
)  # fmt: skip
async def test_nodes_that_run_code_or_open_urls_are_denied(gate: Gate, cls: str) -> None:
    assert await refused(gate, node(cls)) == "node_not_allowed"
    assert await refused(gate, node(cls), admin=True) == "node_not_allowed"


@pytest.mark.parametrize("cls", ["KSampler", "LoadImage", "SaveImage", "PreviewImage", "UNETLoader", "StandInBorder"])
async def test_ordinary_nodes_are_allowed(gate: Gate, cls: str) -> None:
    inputs = {"image": "a.png"} if cls == "LoadImage" else {}
    assert (await gate.alice.post("/prompt", json={"prompt": node(cls, **inputs)})).status_code == 200


@pytest.mark.parametrize("overrides", [{"allowed_nodes": ["Save*", "LoadImage"], "denied_nodes": ["SaveLatent"]}])
async def test_an_operator_can_allow_and_deny_node_classes(gate: Gate) -> None:
    assert await refused(gate, node("KSampler")) == "node_not_allowed"
    assert await refused(gate, node("SaveLatent")) == "node_not_allowed"
    await submit(gate.alice)


@pytest.mark.parametrize("overrides", [{"max_pixels": 1024 * 1024 * 4, "max_steps": 50, "max_nodes": 2}])
@pytest.mark.parametrize(
    ("graph", "fits"),
    [
        (node("EmptyLatentImage", width=1024, height=1024, batch_size=4), True),
        (node("EmptyLatentImage", width=1024, height=1024, batch_size=5), False),
        (node("EmptyVideo", width=1024, height=1024, length=5), False),
        (node("EmptyLatentImage", width=1e9, height=1e9), False),
        (node("EmptyLatentImage", width=["2", 0], height=10**9), True),
        (node("KSampler", steps=50), True),
        (node("KSampler", steps=51), False),
        ({str(number): {"class_type": "X", "inputs": {}} for number in range(3)}, False),
    ],
)
async def test_workflow_sizes_are_limited(gate: Gate, graph: dict[str, Any], fits: bool) -> None:
    answer = await gate.alice.post("/prompt", json={"prompt": graph})
    assert answer.status_code == (200 if fits else 422), answer.text
    if not fits:
        assert answer.json()["code"] == "workflow_too_large"
        assert "allowed" in answer.json()["detail"]


FOREIGN = [
    "/etc/passwd", "/workspace/x.png", "~/x", "~root/.ssh/id_rsa", "C:\\x", "C:/x", "\\\\host\\share", "file:///etc/x",
    "FILE:x", "../x", "a/../../x", "a\\..\\x", "..", "x.png [output]", "x.png[temp]", "x [input]",
    "u/" + "0" * 20 + "/x",
]  # fmt: skip


@pytest.mark.parametrize("value", FOREIGN)
async def test_paths_outside_the_namespace_are_refused_everywhere(gate: Gate, value: str) -> None:
    for inputs in ({"path": value}, {"a.b.c": value}, {"list": ["x", value]}, {"deep": {"er": [{"x": value}]}},
                   {"keys": {value: 1}}):  # fmt: skip
        assert await refused(gate, node("Anything", **inputs)) == "invalid_workflow", inputs


@pytest.mark.parametrize(
    "text",
    ["a cat / a dog", "wait... what?", "16/9", "/imagine a cat", "see [output] above\nand below",
     "masterpiece, [cat:dog:0.5]",
     "flux/dev.safetensors", "SDXL\\base.safetensors", "https://x.test/a", "[temp", "and/or", "..a", "1..2", ""],
)  # fmt: skip
def test_prompts_and_model_names_are_not_paths(text: str) -> None:
    assert not is_foreign(text)


DYNAMIC = {
    "mode": ["COMFY_DYNAMICCOMBO_V3", {"options": [
        {"key": "file", "inputs": {"required": {"picture": ["COMBO", {"options": ["theirs.png"], "image_upload": True}],
                                                "note": ["STRING", {}]}}},
    ]}],
    "images": ["COMFY_AUTOGROW_V3", {"template": {"input": {"optional": {
        "image0": ["COMBO", {"options": ["theirs2.png"], "image_upload": True}]}}}}],
}  # fmt: skip


async def test_dynamic_inputs_are_rewritten_into_the_owners_namespace(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OBJECT_INFO, "Dynamic", {"input": {"required": DYNAMIC}})
    inputs = {"mode": "file", "mode.picture": "a.png", "mode.note": "a.png", "images.image7": ["b.png", "c.png"],
              "mode.filename_prefix": "x"}  # fmt: skip
    job = await submit(gate.alice, prompt=node("Dynamic", **inputs))
    sent = gate.comfy.submitted(job)["prompt"]["1"]["inputs"]
    assert (sent["mode"], sent["mode.note"]) == ("file", "a.png")
    assert sent["mode.picture"].startswith("u/")
    assert [name.startswith("u/") for name in sent["images.image7"]] == [True, True]
    assert sent["mode.filename_prefix"].endswith(f"/{job}/x")
    text = (await gate.alice.get("/object_info")).text
    assert "theirs" not in text
    answer = await gate.alice.post("/prompt", json={"prompt": node("Dynamic", **{"mode.picture": ["2", 0]})})
    assert answer.status_code == 422, "a link could carry any file name"


async def test_assets_in_lists_are_rewritten(gate: Gate) -> None:
    answer = await gate.alice.post("/prompt", json={"prompt": node("X", images=[reference("nobodys")])})
    assert (answer.status_code, answer.json()["code"]) == (422, "missing_asset")
