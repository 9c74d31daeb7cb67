"""Schema, bindings and plugin know the same properties."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from components import runpod
from components.runpod.binding import Resource, camel
from components.runpod.endpoint import EndpointInputs
from components.runpod.plugin.base.resource import REQUIRED
from components.runpod.plugin.base.settings import (
    DEFAULT_GPU_MISSING_SECONDS,
    DEFAULT_LATE_EFFECT_SECONDS,
    DEFAULT_PROXY,
    KEYS,
)
from components.runpod.plugin.invokes.functions import FUNCTIONS
from components.runpod.plugin.resources.registry import HANDLERS
from components.runpod.pod import PodInputs
from components.runpod.template import TemplateInputs
from components.runpod.volume import VolumeInputs

SCHEMA: dict[str, Any] = json.loads(Path(runpod.__file__).with_name("schema.json").read_text())
BINDINGS: list[type[Resource]] = [
    runpod.Pod,
    runpod.NetworkVolume,
    runpod.Template,
    runpod.ContainerRegistryAuth,
    runpod.Endpoint,
    runpod.AccountSshKey,
    runpod.StackGuard,
    runpod.SshKeyPair,
    runpod.RandomSecret,
]
UNSEEN = {"marker", "duplicates"}
"""Outputs for the provider's own use, which no binding shows."""


def test_every_kind_has_schema_and_binding() -> None:
    assert set(SCHEMA["resources"]) == set(HANDLERS) == {binding.token for binding in BINDINGS}


@pytest.mark.parametrize("token", list(HANDLERS))
def test_the_schema_has_the_plugins_properties(token: str) -> None:
    resource, kind = SCHEMA["resources"][token], HANDLERS[token]
    assert set(resource["inputProperties"]) == set(kind.defaults)
    assert set(resource["properties"]) == {*kind.defaults, *kind.outputs} == set(resource["required"])
    required = [name for name, default in kind.defaults.items() if default is REQUIRED]
    assert sorted(resource["requiredInputs"]) == sorted(required)


@pytest.mark.parametrize("token", list(HANDLERS))
def test_the_schema_has_the_plugins_defaults_and_secrets(token: str) -> None:
    resource, kind = SCHEMA["resources"][token], HANDLERS[token]
    stated = {name: entry["default"] for name, entry in resource["inputProperties"].items() if "default" in entry}
    meant = {name: value for name, value in kind.defaults.items() if value is not REQUIRED and value not in ([], {})}
    assert stated == meant
    secret = {name for name, entry in resource["properties"].items() if entry.get("secret")}
    assert secret == set(kind.secrets)


@pytest.mark.parametrize("binding", BINDINGS)
def test_the_bindings_show_every_output(binding: type[Resource]) -> None:
    kind = HANDLERS[binding.token]
    assert set(binding.outputs) == set(kind.outputs) - UNSEEN
    shown = {camel(name) for name, value in vars(binding).items() if isinstance(value, property)}
    assert set(binding.outputs) <= shown


@pytest.mark.parametrize(
    ("form", "token"),
    [
        (PodInputs, "runpod:index:Pod"),
        (VolumeInputs, "runpod:index:NetworkVolume"),
        (TemplateInputs, "runpod:index:Template"),
        (EndpointInputs, "runpod:index:Endpoint"),
    ],
)
def test_the_bindings_take_every_input(form: type, token: str) -> None:
    assert {camel(name) for name in form.__annotations__} == set(HANDLERS[token].defaults)


@pytest.mark.parametrize("binding", BINDINGS)
async def test_a_binding_takes_and_hands_on_every_input(
    binding: type[Resource], monkeypatch: pytest.MonkeyPatch
) -> None:
    handed: dict[str, Any] = {}
    monkeypatch.setattr(Resource, "__init__", lambda _self, _name, inputs, _opts: handed.update(inputs))
    monkeypatch.setattr(Resource, "acknowledge", lambda _self, _identity: None)
    monkeypatch.setattr(Resource, "output", lambda _self, _name: None)
    required = {snake(name): "x" for name, default in HANDLERS[binding.token].defaults.items() if default is REQUIRED}
    binding("r", **required)  # type: ignore[arg-type]
    assert {camel(name) for name in handed} == set(HANDLERS[binding.token].defaults)


def snake(name: str) -> str:
    """`name` itself is Pulumi's, so a binding takes `name_`."""
    return {"name": "name_"}.get(name, "".join(f"_{char.lower()}" if char.isupper() else char for char in name))


def test_configuration_is_documented() -> None:
    variables = SCHEMA["config"]["variables"]
    assert tuple(variables) == KEYS
    assert variables["apiKey"]["secret"] is True
    assert variables["proxyUrlTemplate"]["default"] == DEFAULT_PROXY
    assert float(variables["lateEffectSeconds"]["default"]) == DEFAULT_LATE_EFFECT_SECONDS
    assert float(variables["gpuMissingSeconds"]["default"]) == DEFAULT_GPU_MISSING_SECONDS
    assert set(variables) == set(SCHEMA["provider"]["inputProperties"])


def test_every_function_is_documented() -> None:
    assert set(SCHEMA["functions"]) == set(FUNCTIONS)


@pytest.mark.parametrize(
    ("form", "schema"),
    [
        (runpod.GpuType, SCHEMA["types"]["runpod:index:GpuType"]),
        (runpod.CpuType, SCHEMA["types"]["runpod:index:CpuType"]),
        (runpod.DataCenter, SCHEMA["types"]["runpod:index:DataCenter"]),
        (runpod.BillingRecord, SCHEMA["types"]["runpod:index:BillingRecord"]),
        (runpod.GpuTypes, SCHEMA["functions"]["runpod:index:getGpuTypes"]["outputs"]),
        (runpod.CpuTypes, SCHEMA["functions"]["runpod:index:getCpuTypes"]["outputs"]),
        (runpod.DataCenters, SCHEMA["functions"]["runpod:index:getDataCenters"]["outputs"]),
        (runpod.PodStatus, SCHEMA["functions"]["runpod:index:getPod"]["outputs"]),
        (runpod.Billing, SCHEMA["functions"]["runpod:index:getBilling"]["outputs"]),
    ],
)
def test_the_bindings_show_every_member_of_an_answer(form: type, schema: dict[str, Any]) -> None:
    assert {camel(name) for name in form.__annotations__} == set(schema["properties"])


def every_property(node: object, path: str = "") -> list[tuple[str, dict[str, Any]]]:
    if not isinstance(node, dict):
        return []
    own = [
        (f"{path}.{name}", entry)
        for key in ("properties", "inputProperties", "variables")
        for name, entry in node.get(key, {}).items()
    ]
    return own + [found for name, child in node.items() for found in every_property(child, f"{path}/{name}")]


def test_every_property_is_described() -> None:
    properties = every_property(SCHEMA)
    assert len(properties) > 60
    assert [path for path, entry in properties if len(entry.get("description", "")) < 10] == []


def test_an_input_the_binding_does_not_know_is_refused() -> None:
    with pytest.raises(TypeError, match=r"VolumeInputs has no sise; it has cloud_type"):
        runpod.NetworkVolume("v", name_="v", size=20, guard="g", sise=30)  # type: ignore[call-arg]
