"""The gateway's requests to the pod and their results, with the real supervisord, one request at a time."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from provisioning import contract
from provisioning.contract import GatewayPlan
from provisioning.gateway.accounts import key_format
from provisioning.gateway.upstream.helper_requests import HelperRequests
from provisioning.helper_requests import MAX_BYTES, RESTART
from provisioning.layout import Layout
from provisioning.services import delete_files, privileged_helper, service_spec, start, supervisor
from provisioning.services.service_spec import ComfyUIService, GatewayService, ServiceSpec, Tree
from provisioning.vault import archives
from tests.comfyui.model_files import write_models
from tests.emulator.public_ports import kept_port

ROOT = Path(__file__).parents[4]
STAND_IN = ROOT / "tests" / "comfyui" / "source"
WORKFLOW = ROOT / "tests" / "comfyui" / "workflows" / "text_to_image.json"


Found = TypeVar("Found")


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def pod(layout: Layout) -> Layout:
    start.make_directories(layout)
    layout.bundles.mkdir()
    (layout.bundles / "digest").symlink_to(ROOT)
    return layout


def helping(layout: Layout) -> tuple[privileged_helper.PrivilegedHelper, list[float], Time]:
    restarts: list[float] = []
    clock = Time()
    return privileged_helper.PrivilegedHelper(layout, lambda: restarts.append(clock.now), clock), restarts, clock


def test_one_request_is_one_restart_and_not_too_many_of_them(pod: Layout) -> None:
    made, restarts, clock = helping(pod)
    made.poll()
    assert restarts == []
    for _ in range(3):
        HelperRequests(pod.requests).restart("gpu_fault")
        made.poll()
    assert restarts == [1000.0]
    clock.now += privileged_helper.BETWEEN_RESTARTS_SECONDS
    made.poll()
    made.poll()
    assert restarts == [1000.0, clock.now]


def test_requests_from_before_a_restart_are_dropped(pod: Layout) -> None:
    HelperRequests(pod.requests).restart("gpu_fault")
    made, restarts, _ = helping(pod)
    made.poll()
    assert restarts == []


def put(layout: Layout, name: str) -> Path:
    path = layout.base / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def test_files_go_and_the_empty_folders_above_them(pod: Layout) -> None:
    gone = [put(pod, name) for name in ("output/u/a/1/x.png", "output/u/a/1/deep/y.png", "input/u/a/z.png")]
    kept = put(pod, "output/u/b/1/x.png")
    paths = [("output", "u/a/1/x.png"), ("output", "u/a/1/deep/y.png"), ("input", "u/a/z.png"), ("temp", "no/x.png")]
    assert HelperRequests(pod.requests).delete(paths)
    helping(pod)[0].poll()
    assert [path for path in gone if path.exists()] == []
    assert kept.exists()
    assert not (pod.base / "output/u/a").exists()
    assert (pod.base / "input").is_dir()
    assert list(pod.requests.iterdir()) == [], "the request is gone: that is the answer"


@pytest.mark.parametrize("path", ["u", "u/a", "u/a/1"])
def test_no_folder_is_deleted_by_its_name(pod: Layout, path: str) -> None:
    """A node can name anything in its outputs, and what was believed of it once deleted everybody's files."""
    kept = [put(pod, name) for name in ("output/u/a/1/x.png", "output/u/b/1/x.png")]
    assert HelperRequests(pod.requests).delete([("output", path)])
    helping(pod)[0].poll()
    assert [path for path in kept if not path.exists()] == []


EVIL: list[Any] = [
    [["output", "../gateway/gateway.db"]], [["output", "u/../../gateway/gateway.db"]], [["gateway", "gateway.db"]],
    [["output", "/etc/passwd"]], [["output", ""]], [["output", "."]], [["output", "link/gateway.db"]],
    [["..", "gateway/gateway.db"]], ["output"], 5, [["output", 5]],
]  # fmt: skip


@pytest.mark.parametrize("paths", EVIL)
def test_nothing_outside_the_three_folders_can_be_deleted(pod: Layout, paths: object) -> None:
    database = pod.gateway_data / "gateway.db"
    database.write_bytes(b"x")
    (pod.base / "output" / "link").symlink_to(pod.gateway_data)
    (pod.requests / "x.delete").write_text(json.dumps(paths))
    helping(pod)[0].poll()
    assert database.exists()


@pytest.mark.parametrize("paths", [*EVIL, [["output", "folder"], ["output", "x.png"]]])
def test_a_permanent_deletion_failure_is_reported_once(
    pod: Layout, paths: object, capsys: pytest.CaptureFixture[str]
) -> None:
    (pod.base / "output" / "folder").mkdir()
    (pod.base / "output" / "link").symlink_to(pod.gateway_data)
    plain = put(pod, "output/x.png")
    (pod.requests / "x.delete").write_text(json.dumps(paths))
    made, _, clock = helping(pod)
    for _ in range(3):
        made.poll()
        clock.now += privileged_helper.AFTER_FAILURE_SECONDS
    assert capsys.readouterr().err.count("error: x.delete") == 1
    assert list(pod.requests.iterdir()) == []
    assert plain.exists() == (["output", "x.png"] not in paths if isinstance(paths, list) else True)
    assert (pod.base / "output" / "folder").is_dir()


def test_a_transient_deletion_failure_is_retried(pod: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    assert HelperRequests(pod.requests).delete([("output", "x.png")])
    made, _, clock = helping(pod)
    with monkeypatch.context() as patched:
        patched.setattr(made, "_run_deletion", lambda _request: 1)
        made.poll()
    made.poll()
    assert len(list(pod.requests.iterdir())) == 1, "not before its time"
    clock.now += privileged_helper.AFTER_FAILURE_SECONDS
    made.poll()
    assert list(pod.requests.iterdir()) == []


def test_a_file_that_was_written_after_the_request_is_a_new_one_and_stays(pod: Layout) -> None:
    old, new = put(pod, "input/u/old.png"), put(pod, "input/u/new.png")
    assert HelperRequests(pod.requests).delete([("input", "u/old.png"), ("input", "u/new.png")])
    [request] = pod.requests.iterdir()
    later = request.stat().st_mtime_ns + 1
    os.utime(new, ns=(later, later))
    helping(pod)[0].poll()
    assert (old.exists(), new.exists()) == (False, True)


def test_a_link_is_deleted_and_not_what_it_leads_to(pod: Layout) -> None:
    database = pod.gateway_data / "gateway.db"
    database.write_bytes(b"x")
    (pod.base / "output" / "link").symlink_to(pod.gateway_data)
    delete_files.delete_file(str(pod.base), "output", "link", time.time_ns())
    assert database.exists()
    assert not (pod.base / "output" / "link").is_symlink()


def test_invalid_request_files_are_removed_unread(pod: Layout) -> None:
    os.mkfifo(pod.requests / "fifo.delete")
    (pod.requests / "link.delete").symlink_to(pod.service_spec)
    (pod.requests / "big.delete").write_bytes(b" " * (MAX_BYTES + 1))
    helping(pod)[0].poll()
    assert list(pod.requests.iterdir()) == []


def test_the_directory_is_the_gateways_alone(pod: Layout) -> None:
    assert stat.S_IMODE(pod.requests.stat().st_mode) == 0o700
    assert pod.requests.parent == pod.local


def test_archives_of_a_pod_that_runs_stay_marked_as_used(pod: Layout) -> None:
    """Another pod on the volume removes what nobody used for a day; this one may run for weeks."""
    trees = (Tree("source-c", "sources/c"),)
    service = GatewayService("venvs/gateway-1/bin/python", GatewayPlan({}, 0.5), "p" * 32, "", "")
    service_spec.store(pod, ServiceSpec("digest", ComfyUIService("python", "source", (), "r", trees), service))
    pod.archives.mkdir(parents=True)
    names = ("bundle-digest", "gateway-1", "source-c", "unwanted")
    files = {name: archives.path(pod, name) for name in names}
    for file in files.values():
        file.touch()
        os.utime(file, (1.0, 1.0))
    care, _, clock = helping(pod)
    care.poll()
    assert [name for name in names if files[name].stat().st_mtime == 1.0] == ["unwanted"]
    os.utime(files["source-c"], (1.0, 1.0))
    clock.now += privileged_helper.MARK_SECONDS - 1
    care.poll()
    assert files["source-c"].stat().st_mtime == 1.0
    clock.now += 1
    care.poll()
    assert files["source-c"].stat().st_mtime > 1.0


@contextmanager
def running(layout: Layout, key: str) -> Iterator[str]:
    """Run supervisord with the stand-in, the gateway and the helper, as a pod does; yields the gateway's URL."""
    ports = {f"POD_PORT_{private}": str(kept_port()) for private in (contract.COMFYUI_PORT, contract.GATEWAY_PORT)}
    plan = GatewayPlan({"hosts": ["127.0.0.1"], "rate_limit_per_minute": 100_000}, 0.5)
    wanted = ServiceSpec(
        "digest", ComfyUIService(sys.executable, str(STAND_IN), (), "r"),
        GatewayService(sys.executable, plan, "p" * 32, key, key_format.mint()),
    )  # fmt: skip
    service_spec.store(layout, wanted)
    start.write_configuration(wanted, layout, ports)
    command = [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(layout.supervisor_config)]
    daemon = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={"PATH": os.environ["PATH"]})
    try:
        yield f"http://127.0.0.1:{ports[f'POD_PORT_{contract.GATEWAY_PORT}']}"
    finally:
        daemon.terminate()
        daemon.wait(timeout=60)


def until(condition: Callable[[], Found | None], seconds: float = 120) -> Found:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


@pytest.mark.slow
def test_a_cuda_fault_has_supervisord_restart_comfyui_and_the_next_job_runs(pod: Layout) -> None:
    write_models(pod.base)
    key = key_format.mint()
    with (
        running(pod, key) as url,
        httpx.Client(base_url=url, headers={"X-API-Key": key}, trust_env=False, timeout=60) as client,
    ):
        until(lambda: answers(client, "/readyz"))
        before = comfyui_pid(pod)
        broken, innocent = submit(client, " [stand-in: cuda]"), submit(client, "")
        assert ended(client, broken)["error"]["code"] == "gpu_fault"
        assert ended(client, innocent)["status"] == "succeeded"
        until(lambda: answers(client, "/readyz"))
        after = comfyui_pid(pod)
    assert before != after
    assert "restarting comfyui" in (pod.logs / "privileged-helper.log").read_text()


def answers(client: httpx.Client, path: str) -> bool:
    try:
        return client.get(path).status_code == 200
    except httpx.TransportError:
        return False


def comfyui_pid(layout: Layout) -> str:
    return supervisor.control(Path(sys.executable), layout, "pid", "comfyui")[1].strip()


def submit(client: httpx.Client, marker: str) -> str:
    graph = json.loads(WORKFLOW.read_text())
    for node in graph.values():
        if node["class_type"] == "CLIPTextEncode":
            node["inputs"]["text"] += marker
    answer = client.post("/api/v2/jobs", json={"workflow": graph})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["urls"]["self"])


def ended(client: httpx.Client, path: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        document: dict[str, Any] = client.get(path).json()
        return document if document["completed_at"] else None

    return until(look)


def test_the_listener_speaks_supervisords_protocol(pod: Layout) -> None:
    """It says READY before each event and RESULT behind it, and nothing else on its standard output."""
    command = [sys.executable, "-m", "provisioning.services.privileged_helper"]
    env = {"PATH": os.environ["PATH"], "POD_ROOT": str(pod.root), "SUPERVISOR_SERVER_URL": "unix:///absent"}
    event = "ver:3.0 server:x serial:1 pool:privileged-helper poolserial:1 eventname:TICK_5 len:9\nwhen:1234"
    (pod.requests / RESTART).touch()

    async def talk() -> bytes:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=env, stdin=pipe, stdout=pipe)
        assert process.stdin is not None
        assert process.stdout is not None
        said = await process.stdout.readexactly(len("READY\n"))
        process.stdin.write(event.encode())
        said += await process.stdout.readexactly(len("RESULT 2\nOKREADY\n"))
        process.kill()
        await process.wait()
        return said

    assert asyncio.run(talk()) == b"READY\nRESULT 2\nOKREADY\n"
