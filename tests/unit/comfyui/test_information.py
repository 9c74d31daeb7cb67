"""What the stand-in tells of itself, and what its command line takes."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.comfyui.source.standin.arguments import read
from tests.unit.comfyui.conftest import Comfy, Start, small

BROKEN = "import nothing_of_this_name\n"
BORDER = Path(__file__).parents[2] / "comfyui" / "custom_node" / "__init__.py"


async def test_every_route_is_there_twice(comfy: Comfy) -> None:
    for path in ("/object_info", "/models", "/system_stats", "/features", "/embeddings", "/extensions", "/users"):
        plain, below = await comfy.get(path), await comfy.get(f"/api{path}")
        assert type(plain) is type(below)
        assert path == "/system_stats" or plain == below


async def test_it_says_that_it_is_a_stand_in(comfy: Comfy) -> None:
    assert b"stand-in" in await comfy.get("/")
    stats = await comfy.get("/system_stats")
    assert "stand-in" in stats["devices"][0]["name"]
    assert stats["system"]["comfyui_version"] == "0.38.1"
    assert stats["devices"][0]["vram_total"] >= stats["devices"][0]["vram_free"] > 0


async def test_models_are_listed_by_kind(comfy: Comfy) -> None:
    assert {"checkpoints", "diffusion_models", "text_encoders", "vae", "loras"} <= set(await comfy.get("/models"))
    assert await comfy.get("/models/text_encoders") == ["clip_l.safetensors", "t5xxl_fp16.safetensors"]
    assert await comfy.get("/models/vae") == ["ae.safetensors"]
    await comfy.get("/models/secrets", status=404)
    header = await comfy.get("/view_metadata/vae?filename=ae.safetensors")
    assert header["title"] == "ae.safetensors"
    await comfy.get("/view_metadata/vae?filename=absent.safetensors", status=404)


async def test_nodes_tell_their_inputs(comfy: Comfy) -> None:
    every = await comfy.get("/object_info")
    assert await comfy.get("/object_info/KSampler") == {"KSampler": every["KSampler"]}
    sampler = every["KSampler"]
    assert sampler["input"]["required"]["steps"] == ["INT", {"default": 20, "min": 1, "max": 10000, "step": 1}]
    assert (sampler["output"], sampler["output_node"], sampler["python_module"]) == (["LATENT"], False, "nodes")
    assert every["SaveImage"]["output_node"] is True
    assert all(set(info["input_order"]) == set(info["input"]) for info in every.values())
    assert await comfy.get("/object_info/Absent") == {}


async def test_custom_nodes_are_loaded_and_one_that_is_broken_is_left_out(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, text in (
        ("stand-in-border", BORDER.read_text(encoding="utf-8")),
        ("broken", BROKEN),
        (".hidden", BROKEN),
    ):
        folder = tmp_path / "base0" / "custom_nodes" / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(text, encoding="utf-8")
    with caplog.at_level(logging.INFO):
        comfy = await start()
    assert (await comfy.get("/object_info/StandInBorder"))["StandInBorder"]["python_module"] == (
        "custom_nodes.stand-in-border"
    )
    assert [record for record in caplog.records if "(IMPORT FAILED)" in record.getMessage()]
    prompt = small()
    inputs = {"image": ["8", 0], "width": 16, "colour": "gold"}
    prompt["20"] = {"class_type": "StandInBorder", "inputs": inputs}
    prompt["9"]["inputs"]["images"] = ["20", 0]
    assert len(await comfy.picture(prompt)) > 0


@pytest.mark.parametrize(("allowed", "found"), [([], False), (["--whitelist-custom-nodes", "stand-in-border"], True)])
async def test_custom_nodes_can_be_left_out(start: Start, tmp_path: Path, allowed: list[str], found: bool) -> None:
    folder = tmp_path / "base0" / "custom_nodes" / "stand-in-border"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_bytes(BORDER.read_bytes())
    comfy = await start("--disable-all-custom-nodes", *allowed)
    assert bool(await comfy.get("/object_info/StandInBorder")) is found


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://evil.example", 403), ("http://127.0.0.1:1", 403), ("null", 200), ("", 200)],
)
async def test_pages_of_other_sites_are_refused(comfy: Comfy, origin: str, status: int) -> None:
    async with comfy.client.get("/prompt", headers={"Origin": origin}) as response:
        assert response.status == status


async def test_another_origin_can_be_allowed(start: Start) -> None:
    comfy = await start("--enable-cors-header", "http://friend.example")
    async with comfy.client.options("/prompt", headers={"Origin": "http://friend.example"}) as response:
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Origin"] == "http://friend.example"


def test_the_command_line_is_comfyuis(tmp_path: Path) -> None:
    line = f"""
        --listen --port 9000 --base-directory {tmp_path} --user-directory {tmp_path} --temp-directory {tmp_path}
        --input-directory {tmp_path}/in --output-directory {tmp_path}/out --disable-metadata --preview-method taesd
        --disable-api-nodes --disable-all-custom-nodes --whitelist-custom-nodes one two --max-upload-size 2.5
        --verbose DEBUG --log-stdout --multi-user --enable-cors-header --disable-assets --highvram --fast
    """
    options = read(line.split(), {})
    assert (options.listen, options.port, options.max_upload_bytes) == ("0.0.0.0,::", 9000, 2621440)
    assert (options.metadata, options.previews, options.custom_nodes, options.log_stdout) == (False, True, False, True)
    assert (options.cors_origin, options.allowed_custom_nodes, options.step_seconds) == ("*", ("one", "two"), 0.05)
    assert (options.log_level, options.input, options.output) == (logging.DEBUG, tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize(
    "line",
    [
        "--stand-in-speed 5",
        "--port many",
        "--preview-method best",
        "--user-directory /nowhere/at/all",
        "--verbose LOUD",
    ],
)
def test_what_the_command_line_does_not_know_ends_the_process(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read(line.split(), {})
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err
