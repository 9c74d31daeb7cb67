"""What the emulator remembers, and how it reads RunPod's document."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.emulator import clock
from tests.emulator.server import UnavailableError, settle_runtime, sole_user
from tests.emulator.state import Pod, Span, State, Volume, write_atomically
from tests.emulator.strip_openapi import strip
from tests.emulator.validation import published


def make_state(directory: Path) -> State:
    state = State.load(directory)
    pod = Pod("p", "a", "name", "img", "SECURE", 1.0, http_ports={8189: 20000}, tcp_ports={22: 20001})
    pod.spans = [Span(1.0, None, gpu=0.5)]
    state.pods["p"] = pod
    state.volumes["v"] = Volume("v", "a", "vol", 10, "EU-RO-1", "STANDARD", [Span(1.0, 2.0)])
    state.account("a").ssh_keys = ["ssh-ed25519 A"]
    return state


def test_what_was_saved_is_what_is_loaded(tmp_path: Path) -> None:
    state = make_state(tmp_path)
    state.save()
    assert State.load(tmp_path) == state
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600


def test_a_write_that_fails_leaves_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "state.json"
    write_atomically(file, "old")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_atomically(file, "new")
    assert file.read_text() == "old"


def test_one_state_has_one_emulator(tmp_path: Path) -> None:
    with sole_user(tmp_path), pytest.raises(UnavailableError, match="another emulator"), sole_user(tmp_path):
        pass
    with sole_user(tmp_path):
        pass


def test_pods_stay_in_the_runtime_that_made_them(tmp_path: Path) -> None:
    state = make_state(tmp_path)
    state.runtime = "process"
    assert settle_runtime(state, "auto") == "process"
    with pytest.raises(UnavailableError, match="made by the process runtime"):
        settle_runtime(state, "namespace")
    state.pods["p"].status = "TERMINATED"
    assert settle_runtime(state, "auto") == "auto"
    assert settle_runtime(state, "namespace") == "namespace"


@pytest.mark.parametrize("moment", [0.0, 1_780_315_200.123, 4_102_444_800.999])
def test_dates_survive_their_form(moment: float) -> None:
    assert clock.parse_iso(clock.iso(moment)) == moment


def test_the_clock_goes_forward_only() -> None:
    own = clock.Clock(base=lambda: 1.0)
    own.advance(5)
    assert own.now() == 6
    with pytest.raises(ValueError, match="only goes forward"):
        own.advance(-1)


def test_words_go_and_members_named_like_words_stay() -> None:
    node = {"description": "d", "x-own": 1, "properties": {"title": {"type": "string", "title": "T"}, "x-y": {}}}
    assert strip(node) == {"properties": {"title": {"type": "string"}, "x-y": {}}}
    text = json.dumps(published().document)
    assert '"description"' not in text.replace('"description": {', "")


def test_paths_and_unsupported_members() -> None:
    api = published()
    assert api.template("/v2/registries/delegations") == "/v2/registries/delegations"
    assert api.template("/v2/pods/x/action") == "/v2/pods/{id}/action"
    create = api.operation("POST", "/v2/pods")
    assert create is not None
    body = {"name": "a", "image": "b", "cloud": "MOON", "gpu": {"id": "x", "z": 1}}
    assert create.request_errors(body) == [
        "$.cloud: value must be one of 'SECURE', 'COMMUNITY'",
        "$.gpu.z: property is unsupported",
    ]
    assert create.request_errors({"name": "a"}) == ["$.image: property is missing"]


def test_an_answer_that_is_not_as_promised_is_told() -> None:
    show = published().operation("GET", "/v2/network-volumes/{id}")
    assert show is not None
    good = {"id": "v", "name": "n", "size": 10, "dataCenter": "X", "type": "STANDARD"}
    assert show.response_errors(200, "application/json", json.dumps(good).encode()) == []
    assert show.response_errors(200, "application/json", json.dumps(good | {"size": 5}).encode()) != []
    assert show.response_errors(200, "text/html", b"") != []
    assert show.response_errors(201, "application/json", b"{}") != []


def test_help_says_what_it_is_and_what_it_is_not() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "tests.emulator", "--help"], capture_output=True, text=True, check=True
    )
    for words in (
        "stand-in",
        "no GPU",
        "namespace",
        "process",
        "serve,start,stop,status",
        "/_emulator/",
        "rpa_invalid",
    ):
        assert words in shown.stdout
