"""The emulator in the background: started once, found again, replaced when old, never mistaken for another."""

from __future__ import annotations

import http.server
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.emulator import daemon
from tests.emulator.__main__ import main
from tests.emulator.public_ports import kept_port
from tests.emulator.runtimes import processes
from tests.emulator.server import UnavailableError


@pytest.fixture
def place(tmp_path: Path) -> Iterator[daemon.Place]:
    place = daemon.Place(tmp_path, kept_port())
    yield place
    daemon.stop(place)


def test_start_reuse_and_stop(place: daemon.Place, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--port", str(place.port), "--state", str(place.directory)]
    assert main(["status", *options]) == 3
    assert main(["start", *options, "--runtime", "process"]) == 0
    assert main(["start", *options]) == 0
    assert main(["status", *options]) == 0
    facts = daemon.health(place)
    assert facts is not None
    assert os.getsid(facts["pid"]) == facts["pid"], "a session of its own survives the end of ours"
    assert "already running" in capsys.readouterr().out
    with pytest.raises(UnavailableError, match="has its state in"):
        daemon.start(daemon.Place(place.directory / "other", place.port), "process")
    with pytest.raises(UnavailableError, match="another emulator uses"):
        daemon.start(daemon.Place(place.directory, kept_port()), "process")
    assert main(["stop", *options]) == 0
    assert main(["stop", *options]) == 0
    assert "not running" in capsys.readouterr().out


def test_one_of_an_older_source_is_replaced(place: daemon.Place, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon.start(place, "process")
    first = daemon.health(place)
    monkeypatch.setattr(daemon, "source_hash", lambda: "newer")
    assert daemon.start(place, "process").startswith("started")
    second = daemon.health(place)
    assert first is not None
    assert second is not None
    assert first["pid"] != second["pid"]


class Stranger(http.server.BaseHTTPRequestHandler):
    """Something else on the port."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, *args: object) -> None:
        pass


def test_a_port_in_use_is_named_with_what_to_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Stranger) as stranger:
        thread = threading.Thread(target=stranger.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        port = str(stranger.server_port)
        for command in ("start", "serve"):
            assert main([command, "--port", port, "--state", str(tmp_path), "--runtime", "process"]) == 1
            error = capsys.readouterr().err
            assert f"port {port} on 127.0.0.1 is in use" in error
            assert "--port" in error
            assert "runpod:apiUrl" in error
        stranger.shutdown()
        thread.join()


def call(place: daemon.Place, method: str, path: str, body: object = None) -> dict[str, Any]:
    response = requests.request(
        method, f"{place.url}{path}", json=body, headers={"Authorization": "Bearer k"}, timeout=60
    )
    answer: dict[str, Any] = response.json()
    return answer


def test_stop_with_pods_ends_them_and_keeps_volumes(place: daemon.Place) -> None:
    daemon.start(place, "process")
    volume = {"name": "kept", "size": 10, "dataCenter": "EU-RO-1"}
    assert call(place, "POST", "/v2/network-volumes", volume)["size"] == 10
    cpu = {"id": "cpu5m", "vcpuCount": 2}
    created = call(place, "POST", "/v2/pods", {"name": "p", "image": "i", "args": "sleep 1000", "cpu": cpu})
    while not call(place, "GET", f"/v2/pods/{created['id']}")["runtime"]:
        time.sleep(0.05)
    daemon.stop(place)
    assert [line.split()[0] for line in daemon.remaining_pods(place)] == ["pod", "volume"]
    [pod] = (place.directory / "pods").iterdir()
    pid = json.loads((pod / "container.json").read_text())["pid"]
    assert processes.start_time(pid) is not None
    daemon.end_pods(place, "auto")
    assert processes.start_time(pid) is None
    assert [line.split()[0] for line in daemon.remaining_pods(place)] == ["volume"]
