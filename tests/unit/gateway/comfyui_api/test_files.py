from __future__ import annotations

import errno
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from provisioning.gateway.assets.repository import Asset
from provisioning.gateway.upstream.owner_namespace import is_safe_name, without_paths
from tests.unit.gateway.conftest import Gate, finish, submit, until, workflow
from tests.unit.gateway.fake import PNG, png
from tests.unit.gateway.file_references import named


def form(name: str = "a.png", content: bytes = PNG) -> dict[str, Any]:
    return {"image": (name, content, "text/html")}


async def test_an_upload_goes_to_the_callers_folder(gate: Gate) -> None:
    answer = await gate.alice.post("/upload/image", files=form(), data={"subfolder": "faces", "overwrite": "true"})
    assert answer.json() == {"name": "a.png", "subfolder": "faces", "type": "input"}
    await gate.bob.post("/upload/image", files=form(), data={"subfolder": "faces"})
    folders = [gate.comfy.subfolder(seen.body) for seen in gate.comfy.asked("POST", "/upload/image")]
    assert len(set(folders)) == 2
    assert all(folder.startswith("u/") and folder.endswith("/faces") for folder in folders)
    assert b"text/html" not in gate.comfy.asked("POST", "/upload/image")[0].body
    await gate.admin.post("/upload/image", files=form())
    assert gate.comfy.subfolder(gate.comfy.seen[-1].body) == ""


async def test_a_workflow_loads_an_upload_of_the_same_key(gate: Gate) -> None:
    await gate.alice.post("/upload/image", files=form())
    folder = gate.comfy.subfolder(gate.comfy.seen[-1].body)
    job = await submit(gate.alice, prompt=workflow(image="a.png [input]"))
    assert gate.comfy.submitted(job)["prompt"]["1"]["inputs"]["image"] == f"{folder}/a.png"
    answer = await gate.bob.get("/view", params={"filename": "a.png", "type": "input", "subfolder": folder})
    assert answer.status_code == 404
    await finish(gate, job)
    job = await submit(gate.admin, prompt=workflow(image="any.png"))
    assert gate.comfy.submitted(job)["prompt"]["1"]["inputs"]["image"] == "any.png"


@pytest.mark.parametrize(
    ("name", "content", "data", "status"),
    [
        ("a.html", b"<script>alert(1)</script>", {}, 415),
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", {}, 415),
        ("a.png", b"<html>", {}, 415),
        ("a.pt", PNG, {}, 415),
        ("a.png", b"", {}, 415),
        ("../a.png", PNG, {}, 400),
        ("b/a.png", PNG, {}, 400),
        ("a\\b.png", PNG, {}, 400),
        ("a.png", PNG, {"subfolder": "../x"}, 400),
        ("a.png", PNG, {"subfolder": "a/../../x"}, 400),
        ("a.png", PNG, {"type": "output"}, 400),
        ("a.png", PNG, {"type": "temp"}, 400),
        ("a.png", PNG, {"type": "nonsense"}, 400),
        ("a.png", PNG, {"original_ref": "nonsense"}, 400),
        ("a.png", PNG, {"original_ref": '{"filename": "theirs.png", "type": "output"}'}, 404),
        ("a.png", PNG, {"x": "y" * 10_000}, 422),
    ],
)
async def test_invalid_uploads_are_refused(
    gate: Gate, name: str, content: bytes, data: dict[str, str], status: int
) -> None:
    answer = await gate.alice.post("/upload/image", files=form(name, content), data=data)
    assert answer.status_code == status, answer.text
    assert gate.comfy.seen == []


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (png(10_000, 10_000), 200, None),
        (png(10_000, 10_001), 422, "image_too_many_pixels"),
        (png(2**31 - 1, 2**31 - 1), 422, "image_too_many_pixels"),
        (PNG[:-20], 422, "invalid_image"),
        (PNG[:8] + bytes(64), 422, "invalid_image"),
        (PNG.replace(b"IDAT", b"IDAX"), 422, "invalid_image"),
    ],
)
async def test_images_are_validated_before_they_are_stored(
    gate: Gate, content: bytes, status: int, code: str | None
) -> None:
    for answer in (
        await gate.alice.post("/upload/image", files=form("a.png", content)),
        await gate.alice.post("/api/v2/assets", files={"file": ("a.png", content)}, data={"file_path": "a.png"}),
    ):
        assert answer.status_code in {status, status + 1}, answer.text
        assert answer.json().get("code") == code
    assert len(gate.comfy.seen) == (0 if code else 2)


async def test_the_type_of_an_upload_is_detected_from_its_content(gate: Gate) -> None:
    fields = {"file_path": "a.png", "content_type": "text/html"}
    answer = await gate.alice.post("/api/v2/assets", files={"file": ("a.png", PNG, "text/html")}, data=fields)
    assert answer.json()["content_type"] == "image/png"


@pytest.mark.parametrize("overrides", [{"requests": Path(tempfile.gettempdir()), "min_free_bytes": 2**60}])
async def test_a_full_disk_refuses_files_and_jobs(gate: Gate) -> None:
    for answer in (
        await gate.alice.post("/upload/image", files=form()),
        await gate.alice.post("/api/v2/assets", files={"file": ("a.png", PNG)}, data={"file_path": "a.png"}),
        await gate.alice.post("/api/v2/jobs", json={"workflow": workflow()}),
        await gate.alice.post("/prompt", json={"prompt": workflow()}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
        assert int(answer.headers["retry-after"]) >= 1
    assert gate.comfy.seen == []
    assert gate.rows("SELECT count(*) FROM jobs") == [(0,)]


async def test_an_upload_that_fills_the_disk_leaves_no_file(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("starlette.datastructures.UploadFile.write", full)
    answer = await gate.alice.post("/upload/image", files=form())
    assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
    assert gate.comfy.seen == []


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        ([b'name="image"; filename="a.png"', b'name="image"; filename="b.png"'], "Too many files"),
        ([b'name="image"; filename="a.png"', b'name="type"', b'name="type"'], "twice"),
        ([b'name="image"; filename="a.png"', *(b'name="%d"' % number for number in range(17))], "Too many fields"),
        ([b'name="image"; filename="\xff.png"'], "UTF-8"),
        ([b'name="image"; filename="a.png"', b'name="\xff"'], "UTF-8"),
        ([b'name="type"'], "no file"),
        ([b'filename="a.png"'], "name"),
    ],
)
async def test_other_forms_are_refused(gate: Gate, parts: list[bytes], what: str) -> None:
    body = b"".join(b"--b\r\nContent-Disposition: form-data; %b\r\n\r\n\r\n" % part for part in parts) + b"--b--\r\n"
    headers = {"content-type": "multipart/form-data; boundary=b; charset=utf-8"}
    answer = await gate.alice.post("/upload/image", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")
    assert what in answer.json()["detail"]


@pytest.mark.parametrize("charset", ["undefined", "punycode", "utf-16"])
async def test_the_charset_of_a_form_is_not_the_clients_choice(gate: Gate, charset: str) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + PNG + b"\r\n--b--"
    headers = {"content-type": f'multipart/form-data; boundary=b; charset={charset}; x="'}
    assert (await gate.alice.post("/upload/image", content=body, headers=headers)).status_code == 200


@pytest.mark.parametrize("boundary", ["", '"a;b"', "x" * 71])
async def test_a_boundary_is_of_rfc_2046(gate: Gate, boundary: str) -> None:
    headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
    assert (await gate.alice.post("/upload/image", content=b"--b--", headers=headers)).status_code == 415


async def test_a_form_has_few_fields(gate: Gate) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="f%d"\r\n\r\nx\r\n'
    body = b"".join(part % number for number in range(30)) + b"--b--"
    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = await gate.alice.post("/upload/image", content=body, headers=headers)
    assert (answer.status_code, "Too many fields" in answer.text) == (422, True), answer.text


async def test_a_field_has_a_length_and_an_encoding(gate: Gate) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="subfolder"\r\n\r\n'
    for text, what in ((b"x" * 8193, "exceeded"), (b"caf\xe9", "UTF-8")):
        file = b'\r\n--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + PNG
        headers = {"content-type": "multipart/form-data; boundary=b"}
        answer = await gate.alice.post("/upload/image", content=head + text + file + b"\r\n--b--", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field"), answer.text
        assert what in answer.json()["detail"]


@pytest.mark.parametrize("overrides", [{"max_upload_bytes": 5000, "max_body_bytes": 2000}])
async def test_the_body_limit_is_exact(gate: Gate) -> None:
    def body(size: int) -> dict[str, Any]:
        head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
        tail = b"\r\n--b--\r\n"
        content = head + PNG.ljust(size - len(head) - len(tail), b"x") + tail
        return {"content": content, "headers": {"content-type": "multipart/form-data; boundary=b"}}

    assert (await gate.alice.post("/upload/image", **body(5000))).status_code == 200
    answer = await gate.alice.post("/upload/image", **body(5001))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    json = {"content-type": "application/json"}
    assert (await gate.alice.post("/queue", content=b"{}".ljust(2000), headers=json)).status_code == 200
    assert (await gate.alice.post("/queue", content=b"{}".ljust(2001), headers=json)).status_code == 413

    async def without_length() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * 1000

    assert (await gate.alice.post("/queue", content=without_length(), headers=json)).status_code == 413


@pytest.mark.parametrize(
    "broken",
    [b"", b"--b", b"--b\r\n\r\nx\r\n--b--\r\n", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"],
)
async def test_malformed_forms_are_refused(gate: Gate, broken: bytes) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}
    assert (await gate.alice.post("/upload/image", content=broken, headers=headers)).status_code == 422
    assert (await gate.alice.post("/upload/image", json={})).status_code == 415


@pytest.mark.parametrize(
    ("kind", "attached"),
    [("image/png", False), ("video/mp4", False), ("image/svg+xml", True), ("text/html", True), ("text/plain", True)],
)
async def test_active_content_is_sent_as_an_attachment(gate: Gate, kind: str, attached: bool) -> None:
    gate.comfy.files["output", "", "x"] = (b"<script>", kind)
    answer = await gate.admin.get("/view", params={"filename": "x"})
    assert (answer.headers.get("content-disposition") == "attachment") is attached
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("size", [1, 5000, 3_000_000])
async def test_head_has_the_same_headers_as_get(gate: Gate, port: int, size: int) -> None:
    """Download programs request the size first."""
    gate.comfy.files["output", "", "x.png"] = (bytes(size), "image/png")
    headers = {"X-API-Key": gate.keyring.admin}
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, timeout=60
    ) as client:
        told, whole = [await client.request(method, "/view?filename=x.png") for method in ("HEAD", "GET")]
    assert (told.status_code, told.content, len(whole.content)) == (200, b"", size)
    for name in ("content-length", "content-type", "cache-control"):
        assert told.headers.get(name) == whole.headers.get(name), name
    assert told.headers["content-length"] == str(size)


async def test_comfyuis_error_texts_are_not_forwarded(gate: Gate) -> None:
    answer = await gate.admin.get("/view", params={"filename": "absent.png"})
    assert (answer.status_code, "/workspace" in answer.text) == (404, False)


BAD_NAMES = [
    "../a.png",
    "/etc/passwd",
    "a/../b.png",
    "a.png [output]",
    "a.png [temp]",
    "",
    ["2", 0],
    5,
    "a\\b",
    "C:\\a",
    "a//b",
]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize(("cls", "field"), [("LoadImage", "image"), ("LoadThing", "thing"), ("LoadLatent", "latent")])
async def test_workflows_cannot_read_files_outside_their_folders(
    gate: Gate, cls: str, field: str, name: object
) -> None:
    prompt = {"1": {"class_type": cls, "inputs": {field: name}}}
    answer = await gate.alice.post("/prompt", json={"prompt": prompt})
    assert (answer.status_code, list(answer.json()["node_errors"])) == (422, ["1"])
    assert gate.comfy.asked("POST", "/prompt") == []


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", ["2", 0], None, "x\\y"])
async def test_workflows_cannot_save_outside_their_folders(gate: Gate, name: object) -> None:
    answer = await gate.alice.post("/prompt", json={"prompt": workflow(name)})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_workflow")


async def test_workflows_cannot_reach_another_users_files_by_any_input(gate: Gate) -> None:
    job = await submit(gate.bob)
    root = gate.comfy.submitted(job)["prompt"]["9"]["inputs"]["filename_prefix"].partition(f"/{job}")[0]
    for value in (f"{root}/a.png", f"x/{root}/a.png", f"output/{root}", {"deep": [root]}, root.replace("/", "//")):
        prompt = {"1": {"class_type": "Anything", "inputs": {"path": value}}}
        assert (await gate.alice.post("/prompt", json={"prompt": prompt})).status_code == 422
    answer = await gate.alice.post("/prompt", json={"prompt": {"1": {"class_type": "LoadImageOutput", "inputs": {}}}})
    assert answer.json()["code"] == "node_not_allowed"


async def test_node_classes_do_not_list_other_users_files(gate: Gate) -> None:
    text = (await gate.alice.get("/object_info")).text
    assert "SaveImage" in text
    assert "someone-elses.png" not in text
    assert "secret.bin" not in text
    assert "someone-elses.png" in (await gate.admin.get("/object_info/LoadImage")).text
    assert (await gate.alice.get("/object_info/Absent")).json() == {}


@pytest.mark.parametrize("name", ["a", "a.png", "a b.png", "ä.png", "a/b/c", "..a", "a..b"])
def test_safe_names_are_accepted(name: str) -> None:
    assert is_safe_name(name)


@pytest.mark.parametrize("text", ["at /workspace/ComfyUI/x.py line", "in '/root/a b'", "C:\\Users\\me\\x"])
def test_absolute_paths_are_removed(text: str) -> None:
    assert "<path>" in without_paths(text)


@pytest.mark.parametrize("text", ["and/or", "1/2 done", "see https://docs.test/a/b", "a / b"])
def test_other_slashes_are_kept(text: str) -> None:
    assert without_paths(text) == text


async def echo(gate: Gate, *files: dict[str, str]) -> str:
    """Run a job of Alice's with a node that repeats what it was given, as Preview3D does with `camera_info`."""
    gate.comfy.echoed = {"7": {"result": ["x.glb", {"deep": [list(files)]}]}}
    job = await submit(gate.alice)
    await finish(gate, job)
    gate.comfy.echoed = {}
    return job


async def outputs_of(gate: Gate, job: str) -> list[str]:
    document = (await gate.alice.get(f"/api/v2/jobs/{job}")).json()
    return [output["name"] for output in document["outputs"]]


async def test_file_names_echoed_by_a_node_do_not_grant_access(gate: Gate) -> None:
    bobs = await submit(gate.bob)
    bob_file = await finish(gate, bobs)
    admins = await finish(gate, await submit(gate.admin))
    folder = bob_file["subfolder"].partition("/")[2].partition("/")[0]
    forged = [
        named("u"), named("u", kind="input"), named("any.png", kind="input"), named("x", kind="models"),
        named(folder, "u"), named(bob_file["filename"], bob_file["subfolder"]), named("new.png", f"u/{folder}/later"),
        named(admins["filename"], admins["subfolder"]), named("../u"), named("a.png", ".."), named("a/b.png"),
        named("a.png", "/etc"), named("b.png", f"U/../u/{folder}"), named(""),
    ]  # fmt: skip
    job = await echo(gate, *forged)
    assert await outputs_of(gate, job) == ["ComfyUI_00001_.png"]
    for file in forged:
        assert (await gate.alice.get("/view", params=file)).status_code in {400, 404}, file
    assert gate.rows("SELECT job_id, count(*) FROM assets GROUP BY job_id").count((job, 1)) == 1


async def test_assets_from_repeated_names_are_bounded(gate: Gate) -> None:
    job = await echo(gate, *(named(f"{number}.png") for number in range(20_000)))
    [(made_by, count)] = gate.rows("SELECT job_id, count(*) FROM assets GROUP BY job_id")
    assert made_by == job
    assert count <= 500


async def test_a_file_is_available_as_soon_as_its_node_has_finished(gate: Gate) -> None:
    job = await submit(gate.alice)
    await gate.comfy.begin(job)
    place = gate.comfy.submitted(job)["prompt"]["9"]["inputs"]["filename_prefix"].rpartition("/")[0]
    await gate.comfy.made(job, "9", named("early.png", place), PNG + b"early")
    await gate.comfy.made(job, "8", named("ComfyUI_temp_abcde_00001_.png", kind="temp"))
    await until(lambda: len(gate.app.services.tracker.get(job).shown) == 2)  # type: ignore[union-attr]
    asked = named("early.png", place.partition("/")[2].partition("/")[2])
    answer = await gate.alice.get("/view", params=asked)
    assert (answer.status_code, answer.content) == (200, PNG + b"early")
    preview = named("ComfyUI_temp_abcde_00001_.png", kind="temp")
    assert (await gate.alice.get("/view", params=preview)).status_code == 200
    for file in (asked, preview, named("early.png", place)):
        assert (await gate.bob.get("/view", params=file)).status_code == 404


async def test_a_running_job_does_not_expose_other_users_files(gate: Gate) -> None:
    bobs = await finish(gate, await submit(gate.bob))
    job = await submit(gate.alice)
    await gate.comfy.begin(job)
    admins = named("admins.png")
    gate.comfy.files["output", "", "admins.png"] = (PNG, "image/png")
    await gate.app.services.assets.add(
        Asset("id", "admin", None, "", "output", "", "admins.png", "admins.png", None, None, None, 0)
    )
    live = gate.app.services.tracker.get(job)
    assert live is not None
    for node, file in (("7", bobs), ("8", admins)):
        await gate.comfy.made(job, node, file)
        await until(lambda node=node: node in live.progress.done)  # type: ignore[misc]
        assert (await gate.alice.get("/view", params=file)).status_code == 404
