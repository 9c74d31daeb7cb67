"""Pictures go in and out, and nothing outside the three folders does."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import pytest
from aiohttp import FormData
from PIL import Image

from tests.unit.comfyui.conftest import Comfy, Json, Start


def _png(colour: str = "red", mode: str = "RGB") -> bytes:
    body = BytesIO()
    Image.new(mode, (8, 6), colour).save(body, format="PNG")
    return body.getvalue()


async def _upload(comfy: Comfy, name: str, body: bytes, status: int = 200, path: str = "image", **fields: str) -> Json:
    form = FormData(fields)
    form.add_field("image", body, filename=name, content_type="image/png")
    async with comfy.client.post(f"/upload/{path}", data=form) as response:
        assert response.status == status
        return await response.json() if status == 200 else None


async def test_an_upload_can_be_seen_again_and_is_offered(comfy: Comfy) -> None:
    assert await _upload(comfy, "one.png", _png()) == {"name": "one.png", "subfolder": "", "type": "input"}
    assert await comfy.get("/view?filename=one.png&type=input") == _png()
    assert await comfy.get("/view?filename=one.png+[input]") == _png()
    info = (await comfy.get("/object_info/LoadImage"))["LoadImage"]
    assert info["input"]["required"]["image"] == [["one.png"], {"image_upload": True}]


async def test_the_same_name_with_other_content_gets_a_number(comfy: Comfy) -> None:
    await _upload(comfy, "one.png", _png())
    assert (await _upload(comfy, "one.png", _png()))["name"] == "one.png"
    assert (await _upload(comfy, "one.png", _png("blue")))["name"] == "one (1).png"
    assert (await _upload(comfy, "one.png", _png("green"), overwrite="true"))["name"] == "one.png"
    assert await comfy.get("/view?filename=one.png&type=input") == _png("green")


async def test_uploads_go_where_they_are_told(comfy: Comfy) -> None:
    told = await _upload(comfy, "one.png", _png(), subfolder="u/alice", type="temp")
    assert told == {"name": "one.png", "subfolder": "u/alice", "type": "temp"}
    assert await comfy.get("/view?filename=one.png&type=temp&subfolder=u/alice") == _png()


async def test_uploads_that_lead_out_are_refused(comfy: Comfy) -> None:
    await _upload(comfy, "one.png", _png(), status=400, subfolder="../..")
    await _upload(comfy, "one.png", _png(), status=500, type="models")
    async with comfy.client.post("/upload/image", data={"note": "no file"}) as response:
        assert response.status == 400
    assert [path.name for path in comfy.base.rglob("*.png")] == []


async def test_uploads_have_a_bound(start: Start) -> None:
    comfy = await start("--max-upload-size", "0.001")
    await _upload(comfy, "one.png", b"x" * 2000, status=413)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("filename=absent.png", 404),
        ("filename=../one.png", 400),
        ("filename=/etc/passwd", 400),
        ("filename=", 400),
        ("", 400),
        ("filename=one.png&type=models", 400),
        ("filename=one.png&subfolder=../..", 403),
    ],
)
async def test_nothing_else_can_be_seen(comfy: Comfy, query: str, status: int) -> None:
    await comfy.get(f"/view?{query}", status=status)


async def test_a_view_can_be_a_preview_or_one_channel(comfy: Comfy) -> None:
    await _upload(comfy, "one.png", _png("#ff000080", "RGBA"))
    expected = {"preview=jpeg;50": ("JPEG", "RGB"), "preview=webp": ("WEBP", "RGBA"), "channel=rgb": ("PNG", "RGB")}
    for wish, (kind, mode) in expected.items():
        with Image.open(BytesIO(await comfy.get(f"/view?filename=one.png&type=input&{wish}"))) as picture:
            assert (picture.format, picture.mode) == (kind, mode)
    with Image.open(BytesIO(await comfy.get("/view?filename=one.png&type=input&channel=a"))) as picture:
        assert picture.getpixel((0, 0)) == (0, 0, 0, 128)


async def test_what_a_browser_would_run_is_a_download(comfy: Comfy) -> None:
    await _upload(comfy, "page.html", b"<script>1</script>", type="output")
    async with comfy.client.get("/view?filename=page.html") as response:
        assert response.content_type == "application/octet-stream"
        assert response.headers["Content-Disposition"] == 'attachment; filename="page.html"'
        assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_mask_becomes_the_transparency_of_a_picture(comfy: Comfy) -> None:
    await _upload(comfy, "one.png", _png())
    reference = json.dumps({"filename": "one.png", "type": "input", "subfolder": ""})
    told = await _upload(comfy, "masked.png", _png("#00000040", "RGBA"), path="mask", original_ref=reference)
    with Image.open(comfy.base / "input" / told["name"]) as picture:
        assert picture.getpixel((0, 0)) == (255, 0, 0, 64)
    outside = json.dumps({"filename": "../one.png", "type": "input"})
    await _upload(comfy, "masked.png", _png(), status=400, path="mask", original_ref=outside)


async def test_links_in_the_input_folder_lead_nowhere(comfy: Comfy, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(_png())
    (comfy.base / "input" / "link.png").symlink_to(tmp_path / "secret.png")
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "link.png"}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    refused = await comfy.post("/prompt", {"prompt": prompt}, status=400)
    assert refused["node_errors"]["1"]["errors"][0]["type"] == "custom_validation_failed"


async def test_files_of_the_editor_are_kept(comfy: Comfy) -> None:
    for path, body in (("/userdata/workflows%2Fone.json", {"a": 1}), ("/settings", {"theme": "dark"})):
        await comfy.post(path, body)
    assert await comfy.get("/userdata?dir=workflows") == ["one.json"]
    assert await comfy.get("/userdata/workflows%2Fone.json") == {"a": 1}
    assert await comfy.get("/settings") == {"theme": "dark"}
    await comfy.get("/userdata/..%2F..%2Finput", status=403)
    async with comfy.client.delete("/userdata/workflows%2Fone.json") as response:
        assert response.status == 204
    await comfy.get("/userdata/workflows%2Fone.json", status=404)
