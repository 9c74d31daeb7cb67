"""Jobs wait, run, are interrupted and forgotten as in ComfyUI."""

from __future__ import annotations

import pytest

from tests.unit.comfyui.conftest import Comfy, Start, events, new_id, small

SLOW = "[stand-in: slow 30]"


async def _busy(comfy: Comfy) -> str:
    """Start a job and return once its sampler runs, which it does until it is interrupted."""
    socket = await comfy.socket("busy")
    running = await comfy.submit(small(SLOW), client_id="busy")
    await events(socket, "progress")
    return running


async def _order(comfy: Comfy, waiting: list[str]) -> list[str]:
    """End the running job and return the others in the order they were run."""
    await comfy.post("/interrupt", {})
    for prompt_id in waiting:
        await comfy.result(prompt_id)
    return [prompt_id for prompt_id in await comfy.get("/history") if prompt_id in waiting]


async def test_jobs_run_in_the_order_they_came(comfy: Comfy) -> None:
    await _busy(comfy)
    waiting = [await comfy.submit(small(seed=seed)) for seed in range(3)]
    assert (await comfy.get("/prompt")) == {"exec_info": {"queue_remaining": 4}}
    assert await _order(comfy, waiting) == waiting


async def test_front_and_number_change_the_order(comfy: Comfy) -> None:
    await _busy(comfy)
    late = await comfy.submit(small(seed=1), number=1000)
    usual = await comfy.submit(small(seed=2))
    front = await comfy.submit(small(seed=3), front=True)
    assert await _order(comfy, [late, usual, front]) == [front, usual, late]


async def test_waiting_jobs_can_be_deleted_and_cleared(comfy: Comfy) -> None:
    running = await _busy(comfy)
    waiting = [await comfy.submit(small(seed=seed)) for seed in range(3)]
    await comfy.post("/queue", {"delete": [waiting[1], running, new_id()]})
    queue = await comfy.get("/queue")
    assert [item[1] for item in queue["queue_running"]] == [running]
    assert {item[1] for item in queue["queue_pending"]} == {waiting[0], waiting[2]}
    await comfy.post("/queue", {"clear": True})
    assert (await comfy.get("/queue"))["queue_pending"] == []


async def test_listings_hold_no_secret_of_the_client(comfy: Comfy) -> None:
    running = await comfy.submit(small(SLOW), extra_data={"api_key_comfy_org": "secret", "note": "shown"})
    await comfy.until_running(running)
    (item,) = (await comfy.get("/queue"))["queue_running"]
    assert len(item) == 5
    assert item[3]["note"] == "shown"
    assert "secret" not in str(item)
    await comfy.post("/interrupt", {})
    assert "secret" not in str(await comfy.result(running))


async def test_interrupt_ends_the_named_job_alone(comfy: Comfy) -> None:
    running = await _busy(comfy)
    await comfy.post("/interrupt", {"prompt_id": new_id()})
    assert [item[1] for item in (await comfy.get("/queue"))["queue_running"]] == [running]
    await comfy.post("/interrupt", {"prompt_id": running})
    status = (await comfy.result(running))["status"]
    assert (status["status_str"], status["completed"]) == ("error", False)
    assert status["messages"][-1][0] == "execution_interrupted"
    assert status["messages"][-1][1]["node_id"] == "3"


async def test_an_interrupt_without_a_job_does_not_hit_the_next(comfy: Comfy) -> None:
    async with comfy.client.post("/interrupt") as response:
        assert response.status == 200
    assert (await comfy.run(small()))["status"]["status_str"] == "success"


async def test_history_is_kept_paged_and_forgotten(comfy: Comfy) -> None:
    done = [await comfy.submit(small(seed=seed)) for seed in range(4)]
    await comfy.result(done[-1])
    assert list(await comfy.get("/history")) == done
    assert list(await comfy.get("/history?max_items=2")) == done[2:]
    assert list(await comfy.get("/history?max_items=2&offset=1")) == done[1:3]
    assert await comfy.get(f"/history/{new_id()}") == {}
    await comfy.get("/history?max_items=x", status=500)
    await comfy.post("/history", {"delete": [done[0]]})
    assert list(await comfy.get("/history")) == done[1:]
    await comfy.post("/history", {"clear": True})
    assert await comfy.get("/history") == {}


async def test_a_prompt_id_of_the_client_is_kept(comfy: Comfy) -> None:
    wanted = new_id()
    assert await comfy.submit(small(), prompt_id=wanted) == wanted
    assert (await comfy.result(wanted))["prompt"][1] == wanted


async def test_unchanged_nodes_are_not_run_again(comfy: Comfy) -> None:
    await comfy.run(small())
    again = await comfy.run(small())
    cached = dict(again["status"]["messages"])["execution_cached"]["nodes"]
    assert set(cached) == set(small())
    assert again["outputs"]["9"]["images"][0]["filename"] == "text_to_image_00001_.png"
    changed = await comfy.run(small(seed=2))
    assert set(dict(changed["status"]["messages"])["execution_cached"]["nodes"]) == {"4", "5", "6", "7"}


@pytest.mark.parametrize("forget", ["/free", "--cache-none"])
async def test_results_are_forgotten_on_request(start: Start, forget: str) -> None:
    comfy = await start(*([forget] if forget.startswith("--") else []))
    await comfy.run(small())
    if forget == "/free":
        await comfy.post("/free", {"unload_models": True, "free_memory": True})
    assert dict((await comfy.run(small()))["status"]["messages"])["execution_cached"]["nodes"] == []


async def test_jobs_are_told_in_every_state(comfy: Comfy) -> None:
    done = await comfy.submit(small())
    await comfy.result(done)
    failed = await comfy.submit(small("[stand-in: fail]"))
    await comfy.result(failed)
    running = await _busy(comfy)
    waiting = await comfy.submit(small(seed=9))
    listed = (await comfy.get("/api/jobs"))["jobs"]
    told = {job["id"]: job["status"] for job in listed}
    assert told == {done: "completed", failed: "failed", running: "in_progress", waiting: "pending"}
    assert all("workflow" not in job for job in listed)
    one = await comfy.get(f"/api/jobs/{done}")
    assert one["outputs_count"] == 1
    assert one["preview_output"] | {"nodeId": "9", "mediaType": "images"} == one["preview_output"]
    assert one["workflow"]["prompt"] == small()
    assert one["execution_end_time"] >= one["execution_start_time"] >= one["create_time"] > 1_600_000_000_000
    assert (await comfy.get(f"/api/jobs/{failed}"))["execution_error"]["exception_type"] == "ValueError"
    await comfy.get(f"/api/jobs/{new_id()}", status=404)


async def test_the_job_list_is_filtered_and_paged(comfy: Comfy) -> None:
    done = [await comfy.submit(small(seed=seed)) for seed in range(3)]
    await comfy.result(done[-1])
    page = await comfy.get("/api/jobs?status=completed,failed&sort_order=asc&limit=2&offset=1")
    assert len(page["jobs"]) == 2
    assert page["pagination"] == {"offset": 1, "limit": 2, "total": 3, "has_more": False}
    assert (await comfy.get("/api/jobs?status=pending"))["jobs"] == []
    for wrong in ("status=lost", "sort_by=name", "sort_order=up", "limit=0", "limit=x", "offset=x"):
        assert set(await comfy.get(f"/api/jobs?{wrong}", status=400)) == {"error"}


async def test_cancel_ends_a_job_wherever_it_is(comfy: Comfy) -> None:
    running = await _busy(comfy)
    waiting = await comfy.submit(small(seed=5))
    assert await comfy.post(f"/api/jobs/{waiting}/cancel", None) == {"cancelled": True}
    assert await comfy.post(f"/api/jobs/{waiting}/cancel", None) == {"cancelled": False}
    assert await comfy.post("/api/jobs/cancel", {"job_ids": [new_id(), running]}) == {"cancelled": True}
    await comfy.result(running)
    assert (await comfy.get(f"/api/jobs/{running}"))["status"] == "cancelled"
    assert await comfy.post(f"/api/jobs/{running}/cancel", None) == {"cancelled": False}
    refused = await comfy.post("/api/jobs/cancel", {"job_ids": ["x", 5]}, status=400)
    assert refused["invalid_ids"] == ["x", "5"]
    await comfy.post("/api/jobs/cancel", {"job_ids": "x"}, status=400)
