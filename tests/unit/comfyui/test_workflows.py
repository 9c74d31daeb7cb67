"""The workflows of the README run, and what they draw depends on what it should."""

from __future__ import annotations

import json
from io import BytesIO

import pytest
from PIL import Image

from tests.unit.comfyui.conftest import Comfy, Start, small, workflow


@pytest.mark.parametrize(("name", "size"), [("text_to_image", (512, 512)), ("flux", (1024, 1024))])
async def test_the_shipped_workflow_makes_a_picture(comfy: Comfy, name: str, size: tuple[int, int]) -> None:
    with Image.open(BytesIO(await comfy.picture(workflow(name)))) as picture:
        assert (picture.format, picture.size) == ("PNG", size)


async def test_a_picture_of_one_colour(comfy: Comfy) -> None:
    empty = _node("EmptyImage", width=40, height=20, batch_size=1, color=0x1080FF)
    prompt = {"3": empty, "9": _node("SaveImage", images=["3", 0], filename_prefix="plain")}
    with Image.open(BytesIO(await comfy.picture(prompt))) as picture:
        assert (picture.size, picture.getpixel((39, 19))) == ((40, 20), (0x10, 0x80, 0xFF))


async def test_image_to_image_starts_from_the_uploaded_picture(comfy: Comfy) -> None:
    prompt = workflow("image_to_image")
    pictures = []
    for colour in ("red", "blue"):
        await _upload(comfy, Image.new("RGB", (300, 200), colour))
        pictures.append(await comfy.picture(prompt))
    assert pictures[0] != pictures[1], "a changed input file must be read again"


async def test_flux_workflow_in_pieces_makes_a_picture(comfy: Comfy) -> None:
    prompt = workflow("flux")
    del prompt["7"], prompt["9"]
    prompt |= {
        "20": _node("RandomNoise", noise_seed=5),
        "21": _node("BasicGuider", model=["4", 0], conditioning=["6", 0]),
        "22": _node("KSamplerSelect", sampler_name="euler"),
        "23": _node("BasicScheduler", model=["4", 0], scheduler="simple", steps=2, denoise=1.0),
        "24": _node(
            "SamplerCustomAdvanced",
            noise=["20", 0], guider=["21", 0], sampler=["22", 0], sigmas=["23", 0], latent_image=["8", 0],
        ),
    }  # fmt: skip
    prompt["10"]["inputs"]["samples"] = ["24", 0]
    assert (await comfy.run(prompt))["status"]["status_str"] == "success"


async def test_the_same_prompt_and_seed_draw_the_same_picture_everywhere(start: Start) -> None:
    first, second = await start("--disable-metadata"), await start("--disable-metadata")
    assert await first.picture(small()) == await second.picture(small())


@pytest.mark.parametrize("change", [{"text": "a harbour"}, {"seed": 2}, {"steps": 3}])
async def test_prompt_and_settings_change_the_picture(comfy: Comfy, change: dict[str, str | int]) -> None:
    assert await comfy.picture(small()) != await comfy.picture(small(**change))  # type: ignore[arg-type]


async def test_a_lora_changes_the_picture(comfy: Comfy) -> None:
    plain, other = small(), small()
    other["20"] = _node(
        "LoraLoader", model=["4", 0], clip=["4", 1], lora_name="stand-in-neon.safetensors",
        strength_model=1.0, strength_clip=1.0,
    )  # fmt: skip
    other["3"]["inputs"]["model"] = ["20", 0]
    assert await comfy.picture(plain) != await comfy.picture(other)


async def test_pictures_carry_their_prompt_unless_told_otherwise(start: Start) -> None:
    for flags, keys in (((), {"prompt", "workflow"}), (("--disable-metadata",), set())):
        comfy = await start(*flags)
        entry = await comfy.run(small(), extra_data={"extra_pnginfo": {"workflow": {"id": "one"}}})
        name = entry["outputs"]["9"]["images"][0]["filename"]
        with Image.open(comfy.base / "output" / name) as picture:
            assert set(picture.info) == keys
            assert not keys or json.loads(str(picture.info["prompt"])) == small()


async def test_a_batch_makes_different_pictures_with_numbers(comfy: Comfy) -> None:
    prompt = small()
    prompt["5"]["inputs"]["batch_size"] = 3
    images = (await comfy.run(prompt))["outputs"]["9"]["images"]
    assert [image["filename"] for image in images] == [f"text_to_image_0000{number}_.png" for number in (1, 2, 3)]
    assert len({(comfy.base / "output" / image["filename"]).read_bytes() for image in images}) == 3


async def test_a_prefix_with_a_folder_writes_into_it_and_none_leads_out(comfy: Comfy) -> None:
    prompt = small()
    prompt["9"]["inputs"]["filename_prefix"] = "u/alice/job"
    images = (await comfy.run(prompt))["outputs"]["9"]["images"]
    assert images == [{"filename": "job_00001_.png", "subfolder": "u/alice", "type": "output"}]
    prompt["9"]["inputs"]["filename_prefix"] = "../../outside"
    entry = await comfy.run(prompt)
    assert entry["status"]["messages"][-1][0] == "execution_error"
    assert not list(comfy.base.glob("outside*"))


async def test_a_damaged_model_fails_when_it_is_loaded(comfy: Comfy, start: Start) -> None:
    models = comfy.base / "own" / "checkpoints"
    models.mkdir(parents=True)
    (models / "broken.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0not json at all!")
    other = await start("--models-directory", str(models.parent))
    prompt = small()
    prompt["4"]["inputs"]["ckpt_name"] = "broken.safetensors"
    event, data = (await other.run(prompt))["status"]["messages"][-1]
    assert (event, data["node_id"]) == ("execution_error", "4")
    assert data["exception_type"] == "safetensors_rust.SafetensorError"


async def _upload(comfy: Comfy, picture: Image.Image) -> None:
    body = BytesIO()
    picture.save(body, format="PNG")
    body.name = "input.png"
    body.seek(0)
    async with comfy.client.post("/upload/image", data={"image": body, "overwrite": "true"}) as response:
        assert (await response.json())["name"] == "input.png"


def _node(class_type: str, **inputs: object) -> dict[str, object]:
    return {"class_type": class_type, "inputs": inputs}
