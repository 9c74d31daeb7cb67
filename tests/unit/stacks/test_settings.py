from __future__ import annotations

import ast
import inspect
import itertools
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from pulumi.runtime import config as pulumi_config

from components.errors import StackSettingsError
from provisioning.contract import gateway_options as options
from stacks import sections, settings
from stacks.settings import ROOT, Settings, parse
from tests.comfyui import publish
from tests.comfyui.pins import pins
from tests.unit.stacks.stack_file import CONFIG, raw

POD, GPU, COMFYUI = CONFIG["pod"], CONFIG["gpu"], CONFIG["comfyui"]
NODE, MODEL = CONFIG["nodes"][0], CONFIG["models"][0]
FILE = "stacks/Pulumi.dev.yaml"

FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"pdo": {}}, "pdo: unknown key; remove it or correct its spelling"),
    ({"environment": "prod"}, "environment: unknown key; it follows from the stack's name"),
    ({"pod": POD | {"diskGB": 50}}, "pod.diskGB: unknown key"),
    ({"pod": POD | {"diskGb": "fifty"}}, "pod.diskGb: Input should be a valid integer"),
    ({"pod": POD | {"diskGb": 10}}, "pod.diskGb: Input should be greater than or equal to 30 (found 10)"),
    ({"pod": POD | {"replace": "later"}}, "pod.replace: Input should be 'before' or 'after' (found 'later')"),
    ({"pod": POD | {"whenStopped": "wait"}}, "pod.whenStopped: Input should be 'start' or 'replace' (found 'wait')"),
    ({"pod": None}, "pod: missing; add it"),
    ({"pod": {"image": "x", "diskGb": 50}}, "pod.torch: missing; add it"),
    ({"gpu": {}}, "gpu: give either candidates or require"),
    ({"gpu": GPU | {"require": {"minVramGb": 24, "maxPricePerHour": 1}}}, "gpu: give either candidates or require"),
    ({"gpu": {"require": {"minVramGb": 24}}}, "gpu.require.maxPricePerHour: missing"),
    ({"gpu": {"require": {"minVramGb": 24, "maxPricePerHour": 1, "tiers": ["Huge"]}}}, "gpu.require.tiers[0]: Input"),
    (
        {"gpu": {"require": {"minVramGb": 24, "maxPricePerHour": 1, "cloud": "COMMUNITY"}}},
        "gpu.require.cloud: Input should be 'SECURE' (found 'COMMUNITY')",
    ),
    ({"gpu": GPU | {"count": 0}}, "gpu.count: Input should be greater than or equal to 1"),
    ({"dataCenters": ["eu-ro-1"]}, "dataCenters[0]: String should match pattern"),
    ({"volume": {"sizeGb": 5}}, "volume.sizeGb: Input should be greater than or equal to 10"),
    ({"volume": {"id": "abc"}}, "volume.id: also give volume.sizeGb"),
    ({"comfyui": COMFYUI | {"commit": "v0.38.0"}}, "comfyui.commit: String should match pattern"),
    ({"comfyui": COMFYUI | {"repository": "http://example.org/x"}}, "comfyui.repository: must begin with https://"),
    ({"comfyui": COMFYUI | {"requirements": "no.lock"}}, "comfyui.requirements: the file no.lock does not exist"),
    ({"comfyui": COMFYUI | {"requirements": "pyproject.toml"}}, "comfyui.requirements: pyproject.toml has no hashes"),
    ({"nodes": [NODE | {"commit": ""}]}, "nodes[0]: scripts: give repository and commit, or mark it optional: true"),
    ({"nodes": [NODE, NODE]}, "nodes: scripts listed twice"),
    ({"nodes": [NODE | {"requirements": "no.lock"}]}, "nodes.scripts.requirements: the file no.lock does not exist"),
    ({"models": [MODEL | {"url": ""}]}, "models[0]: ae.safetensors: give url, or mark it optional: true"),
    ({"models": [MODEL | {"sizeBytes": 0}]}, "models[0]: ae.safetensors: give sizeBytes or approxGb"),
    ({"models": [MODEL | {"name": "ae.ckpt"}]}, "models[0].name: String should match pattern"),
    ({"models": [MODEL | {"sha256": "abc"}]}, "models[0].sha256: String should match pattern"),
    ({"models": [MODEL, MODEL]}, "models: ae.safetensors listed twice"),
    ({"models": "stacks/models/no.yaml"}, "models: cannot read stacks/models/no.yaml: No such file"),
    ({"unknownHashes": "ignore"}, "unknownHashes: Input should be 'warn' or 'refuse'"),
    ({"gateway": {"rateLimitPerMinute": 0}}, "gateway.rateLimitPerMinute: Input should be greater"),
    ({"budget": {"maxPerHour": 0}}, "budget.maxPerHour: Input should be greater than 0"),
    ({"tokens": {"civitai": "hunter2"}}, "tokens: set it with `pulumi config set --secret --path`, not in plain text"),
]


@pytest.mark.parametrize(("changes", "words"), FAULTS, ids=[words[:40] for _, words in FAULTS])
def test_a_fault_names_file_and_key_and_what_to_do(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(StackSettingsError) as error:
        parse("dev", raw(**changes), set())
    assert error.value.faults[0].startswith(f"{FILE}: {words}")


def test_all_faults_are_named_at_once() -> None:
    changes = {"pod": POD | {"diskGb": 1, "replace": "x"}, "budget": None, "tokens": {"civitai": "hunter2"}}
    with pytest.raises(StackSettingsError) as error:
        parse("dev", raw(**changes), set())
    assert len(error.value.faults) == 4
    assert all(fault.startswith(f"{FILE}: ") for fault in error.value.faults)


def test_a_fault_in_a_secret_does_not_quote_it() -> None:
    with pytest.raises(StackSettingsError) as error:
        parse("dev", raw(tokens={"civitai": 12345, "civit": "hunter2"}), {"tokens"})
    assert "12345" not in str(error.value)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://civitai.com/api/download/models/1?type=Model&token=hunter2",
        "https://example.org/m?API_KEY=hunter2",
        "https://example.org/m?X-Amz-Signature=hunter2",
        "https://user:hunter2@example.org/m",
        "https://hunter2@example.org/m",
        "http://user:hunter2@example.org/m",
    ],
)
def test_a_credential_in_an_address_is_refused_and_not_quoted(url: str) -> None:
    changed = {"models": [MODEL | {"url": url}], "nodes": [NODE | {"repository": url}]}
    with pytest.raises(StackSettingsError) as error:
        parse("dev", raw(**changed), set())
    assert len(error.value.faults) == 2
    assert "hunter2" not in str(error.value)


def test_an_address_may_have_a_query() -> None:
    url = "https://civitai.com/api/download/models/1?type=Model&format=SafeTensor"
    assert parse("dev", raw(models=[MODEL | {"url": url}]), set()).models[0].url == url


def test_secrets_stay_wrapped() -> None:
    chosen = parse("dev", raw(tokens={"civitai": "hunter2"}), {"tokens"})
    assert chosen.tokens.civitai.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(chosen)


def test_a_fault_in_a_model_list_names_the_list(tmp_path: Path) -> None:
    (tmp_path / "models.yaml").write_text(yaml.safe_dump([MODEL | {"sha": "x"}]))
    with pytest.raises(StackSettingsError) as error:
        parse("dev", raw(models="models.yaml"), set(), root=tmp_path)
    assert error.value.faults[0] == "models.yaml: models[0].sha: unknown key; remove it or correct its spelling"


def test_load_reads_every_key_of_the_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pulumi.get_stack", lambda: "dev")
    keys = {f"comfyui-runpod:{key}": value for key, value in raw(surprise="1").items()}
    monkeypatch.setenv("PULUMI_CONFIG", json.dumps(keys | {"runpod:apiUrl": "http://127.0.0.1:8642"}))
    with pytest.raises(StackSettingsError, match="surprise: unknown key"):
        settings.load()


def test_load_knows_which_keys_are_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pulumi.get_stack", lambda: "dev")
    keys = {f"comfyui-runpod:{key}": value for key, value in raw(tokens={"civitai": "hunter2"}).items()}
    token = pulumi_config.CONFIG.set(keys)
    try:
        with pytest.raises(StackSettingsError, match="not in plain text"):
            settings.load()
        monkeypatch.setenv("PULUMI_CONFIG_SECRET_KEYS", json.dumps(["comfyui-runpod:tokens"]))
        assert settings.load().tokens.civitai.get_secret_value() == "hunter2"
    finally:
        pulumi_config.CONFIG.reset(token)


@pytest.mark.parametrize("environment", ["local", "dev", "staging", "prod"])
def test_every_stack_file_is_complete(environment: str) -> None:
    chosen = from_file(environment)
    assert chosen.environment == environment
    assert chosen.gpu.candidates
    assert all(node.commit or node.optional for node in chosen.nodes)
    assert (chosen.volume.keep, chosen.volume.protect) == (environment == "prod", environment == "prod")


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_the_real_environments_hold_the_first_users_set(environment: str) -> None:
    chosen = from_file(environment)
    assert [model.name for model in chosen.models] == [
        "jibMixFlux_v8Accentueight.safetensors",
        "clip_l.safetensors",
        "t5xxl_fp16.safetensors",
        "ae.safetensors",
        "PlotL9.safetensors",
        "abs.safetensors",
    ]
    assert [node.name for node in chosen.nodes] == ["ComfyUI-Custom-Scripts", "PG-Nodes"]
    assert chosen.nodes[1].optional


def test_the_local_environment_runs_the_stand_ins_pins(tmp_path: Path) -> None:
    chosen, known = from_file("local"), yaml.safe_load(pins(publish(tmp_path)))
    assert chosen.comfyui.commit == known["comfyui"]["commit"]
    assert [node.commit for node in chosen.nodes] == [node["commit"] for node in known["nodes"]]
    assert {model.url: model.sha256 for model in chosen.models} == {m["url"]: m["sha256"] for m in known["models"]}


def from_file(environment: str) -> Settings:
    text = (ROOT / "stacks" / f"Pulumi.{environment}.yaml").read_text(encoding="utf-8")
    keys = {
        key.removeprefix("comfyui-runpod:"): value if isinstance(value, str) else json.dumps(value)
        for key, value in yaml.safe_load(text)["config"].items()
        if key.startswith("comfyui-runpod:")
    }
    return parse(environment, keys, set())


@pytest.mark.parametrize("module", [options, sections, settings], ids=lambda module: module.__name__)
def test_every_setting_is_documented(module: ModuleType) -> None:
    classes = [node for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.ClassDef)]
    fields = [pair for node in classes for pair in itertools.pairwise([*node.body, None])]
    bare = [ast.unparse(field) for field, doc in fields if isinstance(field, ast.AnnAssign) and not is_text(doc)]
    assert fields
    assert not bare


def is_text(node: ast.stmt | None) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
