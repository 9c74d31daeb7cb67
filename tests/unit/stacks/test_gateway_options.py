"""Every option of the gateway, from the stack file to the process that obeys it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic.alias_generators import to_camel

from components.errors import StackSettingsError
from provisioning.contract import ProvisionPlan
from provisioning.contract.gateway_options import Options, Period, Unit
from provisioning.gateway.accounts import key_format
from provisioning.gateway.core.settings import GatewaySettings, load
from provisioning.layout import Layout
from provisioning.services.gateway import render
from provisioning.services.service_spec import ComfyUIService, GatewayService, ServiceSpec
from stacks import plan
from stacks.lockfile import Lock
from stacks.settings import parse
from tests.unit.stacks.stack_file import raw


def on_the_pod(tmp_path: Path, **gateway: object) -> GatewaySettings:
    """Return what a gateway reads on the pod when the stack file has this below `gateway:`."""
    wanted = plan.provision(parse("dev", raw(gateway=gateway), set()), Lock())
    sent = ProvisionPlan.from_json(wanted.to_json()).gateway
    service = GatewayService("python", sent, "p" * 16, key_format.mint(), key_format.mint())
    spec = ServiceSpec("bundle", ComfyUIService("python", "source", (), "r"), service)
    file = tmp_path / "gateway.json"
    file.write_text(render(spec, Layout(tmp_path), {"RUNPOD_POD_ID": "pod0"}), encoding="utf-8")
    return load(file)


def test_quotas_of_the_stack_file_are_those_of_the_gateway(tmp_path: Path) -> None:
    text = """
        quotas:
          jobs: {day: 200, month: 4000}
          gpu_seconds: {day: 3600}
          usd: {month: 25.5}
        keyQuotas:
          bytes: {day: 1000000}
    """
    settings = on_the_pod(tmp_path, **yaml.safe_load(text))
    assert settings.quotas == {
        Unit.JOBS: {Period.DAY: 200, Period.MONTH: 4000},
        Unit.GPU_SECONDS: {Period.DAY: 3600},
        Unit.USD: {Period.MONTH: 25.5},
    }
    assert settings.key_quotas == {Unit.BYTES: {Period.DAY: 1_000_000}}


@pytest.mark.parametrize(
    ("quotas", "fault"),
    [
        ({"gpuSeconds": {"day": 1}}, r"gateway\.quotas\.gpuSeconds.*'jobs', 'gpu_seconds', 'images', 'bytes' or 'usd'"),
        ({"jobs": {"week": 1}}, r"gateway\.quotas\.jobs\.week.*'day' or 'month'"),
        ({"jobs": {"day": -1}}, r"gateway\.quotas\.jobs\.day: Input should be greater than or equal to 0"),
    ],
)
def test_a_quota_that_is_none_is_refused_before_anything_is_changed(
    tmp_path: Path, quotas: dict[str, object], fault: str
) -> None:
    with pytest.raises(StackSettingsError, match=fault):
        on_the_pod(tmp_path, quotas=quotas)


ANOTHER: dict[str, object] = {
    "quotas": {"jobs": {"day": 1.0}},
    "key_quotas": {"usd": {"month": 2.0}},
    "journal": "wal",
    "webhook_ports": [8443],
    "hosts": ["api.example.org"],
    "allowed_nodes": ["SaveImage"],
    "denied_nodes": ["*Shell*"],
}
"""A value that is not the default, for what is neither a number nor a switch."""


@pytest.mark.parametrize("name", Options.model_fields)
def test_every_option_reaches_the_gateway(tmp_path: Path, name: str) -> None:
    default = Options().model_dump(mode="json")[name]
    value = ANOTHER[name] if name in ANOTHER else another(default)
    read = on_the_pod(tmp_path, **{to_camel(name): value}).model_dump(mode="json", include={name})[name]
    # The pod's own name at RunPod's proxy comes first.
    assert (read[1:] if name == "hosts" else read) == value != default


def another(default: float) -> float:
    """Return a value that is not the default and that every option takes."""
    if isinstance(default, bool):
        return not default
    return default - 1 if default > 1 else default + 1
