from __future__ import annotations

from dataclasses import replace

import pytest

from components.runpod.plugin.base.resource import ProviderOperation
from components.runpod.plugin.base.settings import NoKeyError, ProviderSettings, failures
from components.runpod.plugin.invokes.functions import invoke
from tests.unit.components.runpod.fake_api import FakeApi, Reply


def test_a_missing_key_is_refused_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNPOD_API_KEY", raising=False)
    with pytest.raises(NoKeyError, match=r"pulumi config set --secret runpod:apiKey.*make init") as caught:
        ProviderSettings.parse({}).key()
    assert "environment" not in str(caught.value)


def test_a_key_in_the_environment_alone_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNPOD_API_KEY", "rpa_canary")
    with pytest.raises(NoKeyError, match="RUNPOD_API_KEY in the environment is not used") as caught:
        ProviderSettings.parse({}).key()
    assert "rpa_canary" not in str(caught.value)


def test_the_key_never_shows() -> None:
    assert "rpa_canary" not in repr(ProviderSettings(api_key="rpa_canary"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("apiUrl", "127.0.0.1:8642"),
        ("proxyUrlTemplate", "{podId}"),
        ("lateEffectSeconds", "soon"),
        ("lateEffectSeconds", "601"),
        ("apikey", "x"),
    ],
)
def test_bad_configuration_is_named(name: str, value: str) -> None:
    ((key, reason),) = failures({name: value})
    assert key == name
    assert f"runpod:{name}" in reason


def test_prices_without_a_key_come_from_the_price_file(operation: ProviderOperation) -> None:
    offline = replace(operation, settings=ProviderSettings())
    answer = invoke(offline, "runpod:index:getGpuTypes", {})
    assert (answer["source"], answer["asOf"]) == ("price-file", "2026-11-22")
    prices = {gpu["id"]: gpu["securePrice"] for gpu in answer["gpuTypes"]}
    assert prices["NVIDIA RTX A5000"] == 0.27
    assert invoke(offline, "runpod:index:getDataCenters", {})["source"] == "price-file"


def test_a_price_of_an_unavailable_cloud_is_ignored(api: FakeApi, operation: ProviderOperation) -> None:
    gpu = {"id": "a", "name": "A", "memory": 24, "secure": True, "community": False}
    api.answer(Reply(body={"gpus": [{**gpu, "price": {"secure": 0, "community": 0.34}}]}))
    (entry,) = invoke(operation, "runpod:index:getGpuTypes", {"gpuCount": 2, "cloudType": "SECURE"})["gpuTypes"]
    assert (entry["securePrice"], entry["communityPrice"]) == (None, None)
    assert api.requests[0].path == "/v2/catalog/gpus?include=AVAILABILITY&product=POD&count=2&cloud=SECURE"
