"""Uploads are kept in the store when a stop of the pod empties ComfyUI's folders."""

from __future__ import annotations

from tests.unit.gateway.assets.store.stored_files import OTHER, restart
from tests.unit.gateway.conftest import Gate, finish, submit, workflow
from tests.unit.gateway.fake import PNG, png
from tests.unit.gateway.file_references import reference


async def test_uploads_survive_a_stop(gate: Gate) -> None:
    gate.comfy.strict = True
    await gate.alice.post("/upload/image", files={"image": ("a.png", PNG)}, data={"subfolder": "faces"})
    files, data = {"file": ("b.png", OTHER)}, {"file_path": "b.png"}
    asset = (await gate.alice.post("/api/v2/assets", files=files, data=data)).json()
    await restart(gate)
    found = await gate.alice.get("/view", params={"filename": "a.png", "subfolder": "faces", "type": "input"})
    assert (found.status_code, found.content) == (200, PNG)
    assert (await gate.alice.get(f"/api/v2/assets/{asset['id']}/content")).content == OTHER
    assert (await gate.bob.get("/view", params={"filename": "a.png", "subfolder": "faces", "type": "input"})).is_error
    await finish(gate, await submit(gate.alice, prompt=workflow(image="faces/a.png")))
    prompt = {"1": {"class_type": "LoadImage", "inputs": {"image": reference(asset["id"])}}}
    await submit(gate.alice, prompt=prompt)
    names = {name for folder, _, name in gate.comfy.files if folder == "input"}
    assert names == {"a.png", "b.png"}, "both were restored"


async def test_a_file_is_staged_once(gate: Gate) -> None:
    await gate.alice.post("/upload/image", files={"image": ("a.png", PNG)})
    await restart(gate)
    for _ in range(3):
        await finish(gate, await submit(gate.alice, prompt=workflow(image="a.png")))
    assert len(gate.comfy.asked("POST", "/upload/image")) == 2


async def test_a_file_lost_by_comfyui_is_staged_again(gate: Gate) -> None:
    gate.comfy.strict = True
    await gate.alice.post("/upload/image", files={"image": ("a.png", PNG)})
    gate.comfy.files.clear()
    await submit(gate.alice, prompt=workflow(image="a.png"))


async def test_the_editor_lists_uploads(gate: Gate) -> None:
    """Only the names are staged: the content follows when a workflow names the file."""
    for name in ("a.png", "b.png"):
        await gate.admin.post("/upload/image", files={"image": (name, PNG)})
    await gate.alice.post("/upload/image", files={"image": ("hers.png", PNG)})
    await restart(gate)
    gate.comfy.files["input", "", "b.png"] = (OTHER, "image/png")
    for client in (gate.alice, gate.admin, gate.admin):
        await client.get("/object_info")
    kept = {name: content for (_, _, name), (content, _) in gate.comfy.files.items()}
    assert kept == {"a.png": b"", "b.png": OTHER}, "existing files of ComfyUI are unchanged"
    assert (await gate.admin.get("/view", params={"filename": "a.png", "type": "input"})).content == PNG
    await submit(gate.admin, prompt=workflow(image="a.png"))
    assert gate.comfy.files["input", "", "a.png"][0] == PNG


async def test_a_taken_file_name_stays_taken(gate: Gate) -> None:
    await gate.alice.post("/upload/image", files={"image": ("a.png", PNG)})
    await restart(gate)
    answers = [
        (await gate.alice.post("/upload/image", files={"image": ("a.png", content)})).json()["name"]
        for content in (OTHER, PNG, png(4, 4))
    ]
    assert answers == ["a (1).png", "a.png", "a (2).png"]
    await restart(gate)
    await gate.alice.post("/upload/image", files={"image": ("a.png", png(5, 5))}, data={"overwrite": "true"})
    contents = [
        (await gate.alice.get("/view", params={"filename": name, "type": "input"})).content
        for name in ("a.png", "a (1).png", "a (2).png")
    ]
    assert contents == [png(5, 5), OTHER, png(4, 4)]


async def test_a_mask_is_stored_as_made_by_comfyui(gate: Gate) -> None:
    await gate.alice.post("/upload/image", files={"image": ("a.png", PNG)})
    await restart(gate)
    data = {"original_ref": '{"filename": "a.png", "type": "input"}', "overwrite": "true"}
    answer = await gate.alice.post("/upload/mask", files={"image": ("m.png", OTHER)}, data=data)
    assert answer.json()["name"] == "m.png"
    await restart(gate)
    shown = await gate.alice.get("/view", params={"filename": "m.png", "type": "input"})
    assert shown.content == PNG + b"masked by " + OTHER


async def test_a_mask_for_a_missing_image_is_refused(gate: Gate) -> None:
    data = {"original_ref": '{"filename": "absent.png", "type": "input"}'}
    answer = await gate.alice.post("/upload/mask", files={"image": ("m.png", OTHER)}, data=data)
    assert answer.status_code == 404


async def test_missing_content_can_be_uploaded_again(gate: Gate) -> None:
    """An environment whose uploads were never on the volume."""
    files, data = {"file": ("b.png", OTHER)}, {"file_path": "b.png"}
    first = (await gate.alice.post("/api/v2/assets", files=files, data=data)).json()
    assert gate.settings.files is not None
    next(gate.settings.files.rglob("b.png")).unlink()
    await restart(gate)
    assert (await gate.alice.head(f"/api/v2/assets/hash/{first['hash']}")).status_code == 404
    again = (await gate.alice.post("/api/v2/assets", files=files, data=data)).json()
    assert (again["id"] != first["id"], again["created_new"]) == (True, True)
    assert (await gate.alice.get(f"/api/v2/assets/{again['id']}/content")).content == OTHER


async def test_editor_files_survive_a_stop(gate: Gate) -> None:
    admin = gate.admin
    await admin.post("/userdata/workflows%2Fa.json", content=b'{"a": 1}')
    await admin.post("/userdata/workflows%2Fb.json", content=b'{"b": 1}')
    await admin.post("/userdata/workflows%2Fb.json/move/workflows%2Fc.json")
    await admin.post("/userdata/gone.json", content=b"{}")
    await admin.delete("/userdata/gone.json")
    await admin.post("/settings", json={"Comfy.Locale": "de"})
    before = dict(gate.comfy.userdata)
    assert len(before) == 3
    await restart(gate)
    assert gate.comfy.userdata == {}
    assert (await admin.get("/settings")).json() == {"Comfy.Locale": "de"}
    assert (await admin.get("/userdata/workflows%2Fc.json")).content == b'{"b": 1}'
    assert gate.comfy.userdata == before
