"""What the commands print and decide, from documents of the engine and of the API."""

import json
from pathlib import Path

import pytest

from components.runpod.api import NetworkVolume, Pod
from components.runpod.marker import Marker
from provisioning.contract import GatewayPlan, ModelPin, ProvisionPlan, PushRequest, Secrets, SourcePin, SshTarget
from stacks.cli.__main__ import COMMANDS, parser
from stacks.cli.account import account_items
from stacks.cli.checkout import Checkout
from stacks.cli.commands import emulator, pod, preview
from stacks.cli.errors import CliError
from stacks.cli.pulumi import last_installation
from stacks.cli.reports import summary

OURS = Marker("0123456789", "aaaaaaaa", "bbbbbbbb")
OTHERS = Marker("9876543210", "aaaaaaaa", "bbbbbbbb")
OUTPUTS = {
    "gatewayUrl": "http://127.0.0.1:4000/",
    "podId": "p1",
    "gpu": "NVIDIA RTX A5000",
    "dataCenter": "EU-RO-1",
    "isolation": "none",
    "costPerHour": 0.27512,
    "costProjection": {"24h": 6.6, "7d": 46.21, "30d": 198.05},
}


def test_the_summary_has_address_key_cost_and_a_line_to_try() -> None:
    text = summary.after_up("local", "local", OUTPUTS, changed=True)
    assert "local is up.\n" in text
    assert "isolation none: custom nodes can read and delete" in text
    assert "$0.2751 per hour, $6.60 in 24h, $46.21 in 7d, $198.05 in 30d" in text
    assert 'curl -fsS -H "Authorization: Bearer $(make -s key)" http://127.0.0.1:4000/queue' in text


def test_the_summary_of_another_environment_names_it() -> None:
    text = summary.after_up("dev", "local", OUTPUTS, changed=False)
    assert "dev is up; nothing changed." in text
    assert "$(make -s key ENV=dev)" in text


def test_a_stack_without_a_gateway_is_an_error() -> None:
    with pytest.raises(CliError, match="gatewayUrl"):
        summary.after_up("local", "local", {}, changed=True)


@pytest.mark.parametrize(
    ("counts", "changed"), [({"same": 16}, False), ({"same": 15, "update": 1}, True), ({"create": 16}, True)]
)
def test_whether_an_update_changed_anything(counts: dict[str, int], changed: bool) -> None:
    assert summary.changed([{"resourceChanges": counts}]) is changed


def item_list() -> list[account_items.AccountItem]:
    pods = [
        Pod(id="p1", name=OURS.name("a"), status="RUNNING", image="i", cost=0.27),
        Pod(id="p2", name=OTHERS.name("b"), status="EXITED", image="i", cost=0.5),
        Pod(id="p3", name="by-hand", status="RUNNING", image="i", cost=1.0),
    ]
    volumes = [NetworkVolume.model_validate({"id": "v1", "name": OURS.name("m"), "size": 100, "dataCenter": "EU-RO-1"})]
    return account_items.to_items(pods, volumes, {"0123456789": "local"})


def test_every_pod_and_volume_is_listed_with_its_owner_and_price() -> None:
    found = {item.id: item for item in item_list()}
    assert [(found[name].owner, found[name].usdPerHour) for name in ("p1", "p2", "p3")] == [
        ("local", 0.27), ("instance 9876543210", 0.0), ("unknown", 1.0),
    ]  # fmt: skip
    assert (found["v1"].type, found["v1"].owner) == ("volume", "local")
    assert found["v1"].usdPerHour == pytest.approx(7.0 / 730, rel=1e-3)
    assert set(found["p1"].public()) == {"id", "type", "name", "status", "owner", "instance", "usdPerHour"}


def test_a_stack_file_without_secrets_keeps_everything_else() -> None:
    content = {
        "encryptionsalt": "v1:x",
        "config": {"runpod:apiKey": {"secure": "v1:y"}, "a:b": {"tokens": {"civitai": {"secure": "z"}}, "n": [1]}},
    }
    assert preview.without_secrets(content) == {"config": {"a:b": {"tokens": {}, "n": [1]}}}


@pytest.mark.parametrize(
    ("url", "port"),
    [("http://127.0.0.1:8642", 8642), ("http://localhost:1", 1), ("https://api.runpod.io", None), ("", None)],
)
def test_an_api_on_this_machine_is_the_standin(tmp_path: Path, url: str, port: int | None) -> None:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "Pulumi.x.yaml").write_text(f"config:\n  runpod:apiUrl: '{url}'\n")
    assert emulator.port(Checkout(tmp_path, "x")) == port


def test_an_environment_without_a_standin_cannot_stop_one(tmp_path: Path) -> None:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "Pulumi.x.yaml").write_text("config: {}\n")
    with pytest.raises(CliError, match="no stand-in"):
        emulator.stop(Checkout(tmp_path, "x"))


def test_log_lines_come_from_events_and_nothing_else() -> None:
    stream = ["id: 1", 'data: {"source": "container", "line": "hello", "ts": "T"}', "data: {", "", ": keep-alive"]
    assert list(pod.log_lines(iter(stream))) == ["T container hello"]


def installation() -> dict[str, object]:
    plan = ProvisionPlan(
        SourcePin("ComfyUI", "r", "v1", "c" * 40),
        (),
        (ModelPin("a.safetensors", "vae", "http://x/a"), ModelPin("b.safetensors", "vae", "http://x/b")),
        GatewayPlan({}, 0.3),
    )
    request = PushRequest(SshTarget("h", 1, "k", "p"), plan, Secrets("p", "c", "a"))
    result = {"models": [{"name": "a.safetensors", "sha256": "f" * 64, "sizeBytes": 7}]}
    stdout = "progress\n" + json.dumps(result)
    return {
        "type": "command:local:Command",
        "inputs": {"stdin": {"plaintext": json.dumps(request.to_json())}},
        "outputs": {"stdout": {"plaintext": json.dumps(stdout)}},
    }


def test_the_lock_takes_what_the_pod_found_out() -> None:
    plan, result = last_installation.find_run({"resources": [installation()]}, "local")
    (model,) = last_installation.reported(plan, result["models"])
    assert (model.url, model.sha256, model.size_bytes) == ("http://x/a", "f" * 64, 7)


def test_before_an_installation_there_is_nothing_to_lock() -> None:
    with pytest.raises(CliError, match="make up ENV=local"):
        last_installation.find_run({"resources": []}, "local")


def test_every_command_is_on_the_command_line() -> None:
    for name in COMMANDS:
        assert parser().parse_args([name, "--env", "dev"]).env == "dev"


def test_a_log_line_cannot_drive_the_terminal() -> None:
    event = json.dumps({"ts": "t", "source": "container", "line": "\x1b]0;owned\x07 red\x1b[31m"})
    assert list(pod.log_lines(iter([f"data: {event}"]))) == ["t container ?]0;owned? red?[31m"]
