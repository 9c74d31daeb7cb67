from __future__ import annotations

from typing import Any

import pytest
from pulumi_policy import Secret

from policies.rules import cost, exposure, models, pins, secrets, volumes
from policies.rules.rule import Rule
from provisioning import contract

COMMIT = "a" * 40
MODEL = {"name": "ae.safetensors", "folder": "vae", "url": "https://example.org/ae", "sha256": "0" * 64}
GOOD: dict[str, Any] = {
    "repository": "https://example.org/comfyui.git",
    "ref": "v0.38.0",
    "commit": COMMIT,
    "torch": "2.8.0",
    "nodes": [{"name": "scripts", "repository": "https://example.org/n.git", "commit": COMMIT}],
    "models": [MODEL],
    "unknownHashes": "refuse",
}
BUDGET = {"environment": "dev", "maxUsdPerHour": 0.6, "usdPerHour": 0.6}

CASES: list[tuple[Rule, dict[str, Any], dict[str, Any], str]] = [
    (cost.over_ceiling, BUDGET, {"usdPerHour": 0.6001}, "$0.6001/h, and its limit is $0.6000/h"),
    (exposure.foreign_ports, {"ports": "8189/http,22/tcp"}, {"ports": "8189/http,22/tcp,8188/http"}, "8188/http"),
    (exposure.foreign_ports, {"ports": "8189/http"}, {"ports": "8189/tcp"}, "8189/tcp"),
    (exposure.foreign_ports, {"ports": ""}, {"ports": "8888/http"}, "8888/http"),
    (pins.unpinned_sources, GOOD, {"commit": "v0.38.0"}, "ComfyUI: commit 'v0.38.0'"),
    (pins.unpinned_sources, GOOD, {"nodes": [{"name": "scripts", "commit": "main"}]}, "scripts: commit 'main'"),
    (pins.old_comfyui, GOOD, {"ref": "v0.27.9"}, "v0.27.9"),
    (pins.old_comfyui, GOOD, {"ref": "master"}, "master"),
    (pins.old_comfyui, {**GOOD, "ref": "v0.28.0"}, {"ref": "v0.3.64"}, "v0.3.64"),
    (pins.old_torch, {**GOOD, "torch": "2.6"}, {"torch": "2.5.1"}, "2.5.1"),
    (pins.old_torch, {**GOOD, "torch": "2.10.0"}, {"torch": ""}, "older than 2.6"),
    (models.unsafe_formats, GOOD, {"models": [MODEL | {"name": "ae.ckpt"}]}, "ae.ckpt"),
    (models.open_transport, GOOD, {"models": [MODEL | {"url": "http://example.org/ae"}]}, "not encrypted"),
    (
        models.open_transport,
        {**GOOD, "models": [MODEL | {"url": "http://127.0.0.1:8642/ae"}, MODEL | {"url": ""}]},
        {"models": [MODEL | {"url": "ftp://127.0.0.2/ae"}]},
        "ftp",
    ),
    (models.unknown_hashes, GOOD, {"models": [MODEL | {"sha256": ""}]}, "SHA-256 not known"),
    (models.unknown_hashes, GOOD, {"models": [MODEL | {"sha256": "abc"}]}, "SHA-256 not known"),
    (
        models.unrecorded_hashes,
        {**GOOD, "unknownHashes": "warn"},
        {"unknownHashes": "warn", "models": [MODEL | {"sha256": ""}]},
        "SHA-256 not known",
    ),
    (volumes.unprotected, {"environment": "prod", "protect": True}, {"protect": False}, "volume.protect: true"),
    (volumes.unprotected, {"environment": "dev", "protect": False}, {"environment": "prod"}, "the volume of prod"),
    (volumes.unprotected, {"environment": "prod", "existingId": "v"}, {"existingId": ""}, "volume.protect: true"),
]


@pytest.mark.parametrize(("rule", "good", "bad", "words"), CASES)
def test_a_rule_accepts_valid_inputs_and_names_violations(
    rule: Rule, good: dict[str, Any], bad: dict[str, Any], words: str
) -> None:
    assert list(rule(good)) == []
    faults = list(rule({**good, **bad}))
    assert len(faults) == 1
    assert words in faults[0]


def test_missing_hashes_are_refused_or_reported_as_set() -> None:
    bare = {**GOOD, "models": [MODEL | {"sha256": ""}]}
    assert not list(models.unrecorded_hashes({**bare, "unknownHashes": "refuse"}))
    assert not list(models.unknown_hashes({**bare, "unknownHashes": "warn"}))


def test_the_published_ports_are_those_of_the_contract() -> None:
    assert frozenset(contract.PUBLISHED_PORTS) == exposure.PUBLISHED


@pytest.mark.parametrize(
    ("resource_type", "inputs", "found"),
    [
        ("runpod:index:Pod", {"env": Secret({"KEY": "value"})}, []),
        ("runpod:index:Pod", {"env": {"KEY": Secret("value")}}, []),
        ("runpod:index:Pod", {"env": {"KEY": "value"}}, ["env"]),
        ("runpod:index:Pod", {"env": {"A": Secret("value"), "B": "value"}}, ["env"]),
        ("runpod:index:Pod", {}, []),
        ("command:local:Command", {"stdin": secrets.UNKNOWN}, []),
        ("command:local:Command", {"stdin": "{}"}, ["stdin"]),
        ("runpod:index:NetworkVolume", {"env": "value"}, []),
    ],
)
def test_inputs_with_keys_must_be_secret(resource_type: str, inputs: dict[str, Any], found: list[str]) -> None:
    assert list(secrets.in_clear(resource_type, inputs)) == found
