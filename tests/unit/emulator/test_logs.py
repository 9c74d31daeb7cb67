"""Logs as server-sent events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.emulator.podlog import Logs
from tests.unit.emulator.harness import KEY, Api


async def read(api: Api, pod_id: str, count: int, query: str = "", last: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Return the first events of a stream, with their ids."""
    headers = {"Authorization": f"Bearer {KEY}"} | ({"Last-Event-ID": last} if last else {})
    events: list[tuple[str, dict[str, Any]]] = []
    async with api.client.get(f"/v2/pods/{pod_id}/logs{query}", headers=headers) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert (response.headers["Cache-Control"], response.headers["X-Accel-Buffering"]) == ("no-cache", "no")
        while len(events) < count:
            raw = (await response.content.readuntil(b"\n\n")).decode().splitlines()
            events.append((raw[0].removeprefix("id: "), json.loads(raw[1].removeprefix("data: "))))
    return events


async def write(api: Api, pod_id: str, *lines: str) -> None:
    with api.runtime.log_path(pod_id).open("a") as file:
        file.writelines(f"{line}\n" for line in lines)
    api.emu.logs.collect(pod_id)


@pytest.fixture(autouse=True)
def _prompt(api: Api) -> None:
    api.emu.logs.poll_seconds = 0


async def test_lines_are_dated_numbered_and_followed(api: Api) -> None:
    pod = await api.make_running()
    await write(api, pod["id"], "one", "two")
    events = await read(api, pod["id"], 3)
    assert [event["line"] for _, event in events] == ["the container is started", "one", "two"]
    assert [event["source"] for _, event in events] == ["system", "container", "container"]
    assert events[1][0] == "2026-06-01T12:00:02.000Z/000000000002"
    assert events[1][1]["ts"] == "2026-06-01T12:00:02.000Z"
    assert [event["line"] for _, event in await read(api, pod["id"], 1, "?tail=1")] == ["two"]
    assert [event["line"] for _, event in await read(api, pod["id"], 1, "?source=system")] == [
        "the container is started"
    ]


async def test_a_reader_resumes_after_what_it_has_seen(api: Api) -> None:
    pod = await api.make_running()
    await write(api, pod["id"], "one", "two", "three")
    events = await read(api, pod["id"], 4)
    [(_, event)] = await read(api, pod["id"], 1, "?tail=0", last=events[2][0])
    assert event["line"] == "three"
    await api.pass_time(10)
    await write(api, pod["id"], "four")
    [(_, event)] = await read(api, pod["id"], 1, "?since=2026-06-01T12:00:05Z")
    assert event["line"] == "four"
    [(_, event)] = await read(api, pod["id"], 1, last="2026-06-01T12:00:02.000Z")
    assert event["line"] == "four"
    assert (await api.call("GET", f"/v2/pods/{pod['id']}/logs?since=noon"))[0] == 422
    assert (await api.call("GET", f"/v2/pods/{pod['id']}/logs?tail=5001"))[0] == 422
    assert (await api.call("GET", "/v2/pods/none/logs"))[0] == 404


async def test_a_log_goes_on_where_an_earlier_emulator_left_it(api: Api) -> None:
    pod = await api.make_running()
    await write(api, pod["id"], "one")
    later = Logs(api.emu.state.directory / "logs", api.runtime, api.emu.clock)
    with api.runtime.log_path(pod["id"]).open("a") as file:
        file.write("two\nhalf a li")
    later.collect(pod["id"])
    assert [(event.seq, event.line) for event in later.events(pod["id"])][1:] == [(2, "one"), (3, "two")]
    api.runtime.log_path(pod["id"]).write_text("anew\n")
    later.collect(pod["id"])
    assert later.events(pod["id"])[-1].line == "anew", "a log that was begun again is read from its start"
