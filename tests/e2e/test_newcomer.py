"""What the README tells a newcomer, done as written: from a bare clone to an image, and to nothing that bills."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from PIL import Image

from tests.e2e import isolation_check
from tests.e2e.checkout import ROOT, Checkout
from tests.emulator.runtimes.namespace_network import PREFIX, owner_tag, table_name

WORKFLOW = ROOT / "tests/comfyui/workflows/text_to_image.json"
OUTPUTS = {
    "gatewayUrl", "apiKey", "adminKey", "podId", "gpu", "dataCenter", "volumeId", "sshCommand", "comfyuiRef",
    "isolation", "paused", "costPerHour", "costProjection", "costBreakdown",
}  # fmt: skip


class Client:
    """The bot's backend: an address and a key."""

    def __init__(self, url: str, key: str) -> None:
        self.url, self.key = url, key

    def ask(self, path: str, body: object = None) -> requests.Response:
        method = "GET" if body is None else "POST"
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = requests.request(method, self.url + path, json=body, headers=headers, timeout=60)
        answer.raise_for_status()
        return answer

    def image(self, workflow: object) -> bytes:
        job = self.ask("/prompt", {"prompt": workflow}).json()["prompt_id"]
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline:
            entry = self.ask(f"/history/{job}").json().get(job)
            if entry and entry["outputs"]:
                picture = next(p for node in entry["outputs"].values() for p in node["images"])
                return self.ask("/view?" + urlencode(picture)).content
            time.sleep(0.2)
        raise AssertionError("no image within 240 s")


def _status(url: str) -> int:
    return requests.get(url, timeout=60).status_code


def _walk(checkout: Checkout, runtime: str) -> None:
    up = checkout.made("up")
    assert f"runtime {runtime}" in up.text or f"{runtime} runtime" in up.text
    outputs = checkout.json("output")
    assert set(outputs) == OUTPUTS
    key = checkout.made("-s", "key").out.strip()
    assert key not in up.text
    _says_what_the_volume_does(up.text, outputs["isolation"])
    _uses_the_gateway(checkout, up.out, outputs["gatewayUrl"], key)
    _sees_what_bills(checkout, outputs)
    again = checkout.made("up")
    assert "nothing changed" in again.text.lower()
    assert "/h; unchanged" in checkout.made("preview").text


def _says_what_the_volume_does(text: str, isolation: str) -> None:
    assert re.search(r"volume: done .*chmod (obeyed|ignored), .* MB/s, fsync .* ms, open .* ms", text)
    assert isolation in {"landlock", "folder", "none"}
    assert f"isolation {isolation}: " in text


def _ends(checkout: Checkout) -> None:
    checkout.made("destroy")
    assert checkout.json("pods") == []
    assert checkout.dirty() == ""


def _uses_the_gateway(checkout: Checkout, summary: str, url: str, key: str) -> None:
    printed = re.search(r"(curl .*\$\(make -s key.*)$", summary, re.MULTILINE)
    assert printed, f"no curl line in:\n{summary}"
    assert checkout.shell(printed[1]).code == 0
    assert _status(f"{url}/livez") == 200
    assert {_status(url + path) for path in ("/", "/prompt", "/queue", "/history", "/object_info", "/view")} == {401}
    workflow = json.loads(WORKFLOW.read_text())
    picture = Image.open(io.BytesIO(Client(url, key).image(workflow)))
    assert picture.format == "PNG"
    assert picture.width >= 64


def _sees_what_bills(checkout: Checkout, outputs: dict[str, Any]) -> None:
    billed = checkout.json("pods")
    assert sorted(entry["type"] for entry in billed) == ["pod", "volume"]
    assert {entry["id"] for entry in billed} == {outputs["podId"], outputs["volumeId"]}
    assert sum(entry["usdPerHour"] for entry in billed) == pytest.approx(outputs["costPerHour"], rel=0.05)


def _traces(checkout: Checkout) -> list[str]:
    """What is on the machine of this checkout's emulator and pods: interfaces, rules, mounts, processes."""
    owner = owner_tag(checkout.path / ".state/emulator")
    commands = (["ip", "-o", "link"], ["nft", "list", "tables"], ["cat", "/proc/mounts"])
    shown = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for command in commands]
    marks = (f"{PREFIX}{owner}", table_name(owner), str(checkout.path))
    lines = [line for text in shown for line in text.splitlines() if any(mark in line for mark in marks)]
    return lines + _processes(str(checkout.path).encode())


def _has_ended(checkout: Checkout) -> None:
    """Fail when something stays; what was told to end may need the processor for that."""
    deadline = time.monotonic() + 30
    while left := _traces(checkout):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def _processes(mark: bytes) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            messages = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if any(mark in text for text in messages):
            found.append(f"{folder.name}: {messages[0].decode(errors='replace')}")
    return found


def _breaches(checkout: Checkout) -> object:
    """Where a call or an answer was not what RunPod's published document says."""
    api = re.search(r"runpod:apiUrl: (\S+)", checkout.settings())
    assert api
    return requests.get(f"{api[1]}/_emulator/violations", timeout=60).json()


@pytest.mark.timeout(1500)
def test_a_newcomer_gets_an_image_and_ends_with_no_bill(checkout: Checkout) -> None:
    root_on_linux = sys.platform == "linux" and os.geteuid() == 0
    _walk(checkout, "namespace" if root_on_linux else "process")
    assert not root_on_linux or _traces(checkout)
    if root_on_linux:
        isolation_check.run(checkout)
    _ends(checkout)
    checkout.made("stop-emulator")
    if root_on_linux:
        _has_ended(checkout)


@pytest.mark.timeout(1500)
def test_the_same_without_any_privilege(unprivileged_checkout: Checkout) -> None:
    _walk(unprivileged_checkout, "process")
    _ends(unprivileged_checkout)
