"""Comfy-Org's own clients, unchanged, with a key of ours: they are the gateway's Python and Node clients."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import comfy_sdk
import pytest

from tests.integration.clients import programs
from tests.integration.clients.site import ROOT, Site, workflow
from tests.unit.gateway.fake import PNG

PNG_MAGIC = PNG[:8]
SLOW = "[stand-in: slow 60]"
"""So much for each step: whoever cancels it comes in time, and then it ends at once."""


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Return the paths of three workflows: one that draws, one that redraws a picture, and one that takes its time."""
    # A text of its own: what ComfyUI has in its cache is not slow.
    first = workflow(text=f"{tmp_path.name} [stand-in: slow 1]", seed=11)
    graphs = (first, workflow("image_to_image", seed=12), workflow(text=f"{tmp_path.name} {SLOW}", seed=13))
    paths = [tmp_path / f"{number}.json" for number in range(len(graphs))]
    for path, graph in zip(paths, graphs, strict=True):
        path.write_text(json.dumps(graph), encoding="utf-8")
    return [str(path) for path in paths]


@pytest.mark.slow
def test_the_python_client(site: Site, files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMFY_BASE_URL", site.url)
    with comfy_sdk.Comfy(api_key=site.alice) as client:
        job = client.submit(client.workflows.from_file(files[0]), metadata={"shoot": "7"})
        events = list(job.events())
        kinds = [type(event).__name__ for event in events]
        values = [event.value for event in events if isinstance(event, comfy_sdk.Progress)]
        assert {"StatusChange", "Progress", "Preview", "OutputReady"} <= set(kinds)
        assert values == sorted(values)
        drawn = job.result().outputs[0].to_bytes()
        assert drawn[:8] == PNG_MAGIC
        again = client.workflows.from_file(files[1])
        again.set_input("2", "image", client.assets.from_bytes(drawn, filename="drawn.png"))
        second = client.run(again)
        target = second.outputs[0].to_file(tmp_path / "picture.png")
        assert target.read_bytes()[:8] == PNG_MAGIC
        assert target.read_bytes() != drawn
        slow = client.submit(client.workflows.from_file(files[2]))
        slow.cancel()
        assert slow.wait(120).status == "canceled"
        assert [summary.id for summary in client.list_jobs(limit=1)][:3] == [slow.id, second.id, job.id]
        assert client.jobs.get(job.id).get_workflow().graph == json.loads(Path(files[0]).read_text())
        # What its parameters do not have yet goes beside the workflow, and it follows the job all the same.
        more = {"workflow": workflow(seed=16), "priority": -5, "timeout_seconds": 600, "metadata": {"shoot": "8"}}
        with site.client(site.alice) as plain:
            ordered = plain.post("/api/v2/jobs", json=more).json()
        assert ordered["priority"] == -5
        assert client.jobs.get(ordered["id"]).result().outputs[0].to_bytes()[:8] == PNG_MAGIC
        with pytest.raises(comfy_sdk.WorkflowFormatUi):
            client.submit(client.workflows.from_json({"nodes": [], "links": []}))
    with comfy_sdk.Comfy(api_key=site.bob) as stranger:
        assert list(stranger.list_jobs()) == []
        with pytest.raises(comfy_sdk.NotFound):
            stranger.jobs.get(job.id)


@pytest.fixture(scope="session")
def node() -> tuple[str, Path]:
    """Return Node and the folder of the locked packages."""
    try:
        return str(programs.node()), programs.node_modules()
    except programs.MissingError as missing:
        pytest.skip(str(missing))


def run_node(node: tuple[str, Path], script: Path, site: Site, *arguments: str, **environ: str) -> str:
    """Run a script with the locked packages beside it; returns what it said."""
    (script.parent / "node_modules").symlink_to(node[1])
    settings = {"PATH": os.environ["PATH"], "COMFY_BASE_URL": site.url, "COMFY_API_KEY": site.alice, **environ}
    command = [node[0], str(script), *arguments]
    done = subprocess.run(
        command, cwd=script.parent, env=settings, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_node_client(site: Site, files: list[str], node: tuple[str, Path], tmp_path: Path) -> None:
    script = tmp_path / "client.mjs"
    shutil.copy(programs.LOCK.parent / "client.mjs", script)
    target = tmp_path / "picture.png"
    seen = json.loads(run_node(node, script, site, *files, DOWNLOAD=str(target)))
    assert {"statusChange", "progress", "preview", "outputReady"} <= set(seen["kinds"])
    assert seen["progress"] == sorted(seen["progress"])
    assert (seen["job"]["status"], seen["job"]["outputs"], seen["second"]["status"]) == ("succeeded", 1, "succeeded")
    drawn = base64.b64decode(seen["drawn"])
    assert drawn[:8] == target.read_bytes()[:8] == PNG_MAGIC
    assert drawn != target.read_bytes()
    assert (seen["cancelled"], seen["known"], seen["workflow"]) == ("canceled", "succeeded", "api")
    assert seen["listed"] == [seen["slow"], seen["second"]["id"], seen["job"]["id"]]
    assert seen["refused"] == "WorkflowFormatUi"


README = (ROOT / "README.md").read_text(encoding="utf-8")


def snippet(language: str) -> str:
    """Return the one block of a language in the README's section for programmers."""
    section = README.partition("## Use it from a program")[2].partition("\n## ")[0]
    [text] = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return str(text)


def test_the_python_of_the_readme(site: Site, tmp_path: Path) -> None:
    (tmp_path / "workflow_api.json").write_text(json.dumps(workflow(seed=14)), encoding="utf-8")
    environ = {"PATH": os.environ["PATH"], "COMFY_BASE_URL": site.url, "COMFY_API_KEY": site.alice}
    subprocess.run([sys.executable, "-c", snippet("python")], cwd=tmp_path, env=environ, check=True, timeout=240)
    assert (tmp_path / "picture.png").read_bytes()[:8] == PNG_MAGIC


def test_the_javascript_of_the_readme(site: Site, node: tuple[str, Path], tmp_path: Path) -> None:
    (tmp_path / "workflow_api.json").write_text(json.dumps(workflow(seed=15)), encoding="utf-8")
    script = tmp_path / "readme.mjs"
    script.write_text(snippet("js"), encoding="utf-8")
    run_node(node, script, site)
    assert (tmp_path / "picture.png").read_bytes()[:8] == PNG_MAGIC


def test_the_lock_of_the_node_client_names_no_registry_and_every_hash() -> None:
    lock = json.loads(programs.LOCK.read_text(encoding="utf-8"))
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())
    assert not any("resolved" in entry for entry in packages.values())
