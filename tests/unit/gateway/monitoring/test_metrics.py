from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pynvml
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from provisioning.gateway import monitoring
from provisioning.gateway.core.problems import CATALOGUE, Code, Problem
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.monitoring.gpu import GpuMetrics
from provisioning.gateway.routes import OPERATIONS
from tests.unit.gateway.conftest import Gate, finish, submit

FOLDER = Path(monitoring.__file__).parent
LABELS = {"method", "route", "status", "code", "policy", "state", "le", "gpu", "model"}


async def test_metrics_count_requests_and_jobs(gate: Gate) -> None:
    job, _ = await submit(gate.alice), await submit(gate.bob)
    await finish(gate, job)
    await gate.alice.get("/nothing/of/the/kind")
    answer = await gate.admin.get("/metrics")
    lines = set(answer.text.splitlines())
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'gateway_requests_total{method="POST",route="/prompt",status="200"} 2.0' in lines
    assert 'gateway_requests_total{method="",route="",status="404"} 1.0' in lines
    assert 'gateway_refusals_total{code="not_found"} 1.0' in lines
    assert 'gateway_request_duration_seconds_count{method="POST",route="/prompt"} 2.0' in lines
    assert 'gateway_jobs_ended_total{state="completed"} 1.0' in lines
    assert {"gateway_gpu_seconds_total 1.5", "gateway_cost_usd_total 0.0015", "gateway_comfyui_up 1.0"} <= lines
    assert "gateway_pod_usd_per_hour 3.6" in lines
    assert "/nothing" not in answer.text
    assert gate.keyring.alice not in answer.text


async def test_metrics_require_the_monitor_scope(gate: Gate) -> None:
    monitor = await gate.store.create("prometheus", frozenset({Scope.MONITOR}))
    assert (await gate.client(None).get("/metrics")).status_code == 401
    assert (await gate.alice.get("/metrics")).status_code == 403
    assert (await gate.client(monitor).get("/metrics")).status_code == 200
    assert (await gate.client(monitor).get("/queue")).status_code == 403


@pytest.mark.parametrize("overrides", [{"rate_limit_per_minute": 1}])
async def test_refusals_are_counted_by_limit(gate: Gate) -> None:
    assert [(await gate.alice.get("/queue")).status_code for _ in range(3)] == [200, 429, 429]
    page = (await gate.admin.get("/metrics")).text
    assert 'gateway_rate_limited_total{policy="perkey"} 2.0' in page
    assert 'gateway_refusals_total{code="rate_limited"} 2.0' in page


async def test_labels_have_a_fixed_set_of_values(gate: Gate) -> None:
    canary = "canary-of-the-tests"
    for path in (f"/{canary}", f"/history/{canary}", f"/view?filename={canary}.png", f"/api/v2/jobs/{canary}"):
        await gate.alice.get(path)
        await gate.client(canary).get(path)
        await gate.alice.request(canary.upper(), path)
    page = (await gate.admin.get("/metrics")).text
    assert canary not in page.lower()
    words = {
        "method": {route.method for route in OPERATIONS} | {""},
        "route": {route.path for route in OPERATIONS} | {""},
        "code": {code.value for code in CATALOGUE},
    }
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            assert sample.labels.keys() <= LABELS
            for name, known in words.items():
                assert sample.labels.get(name, "") in known | {""}, sample


def used(queries: list[str]) -> set[str]:
    return {name for query in queries for name in re.findall(r"\bgateway_[a-z_]+", query)}


async def test_the_dashboard_and_alerts_use_existing_metrics(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpu(monkeypatch)
    await gate.alice.get("/nothing")
    gate.app.services.metrics.refused(Problem(Code.RATE_LIMITED, members={"violated-policies": ["perkey"]}))
    page = (await gate.admin.get("/metrics")).text
    there = {sample.name for family in text_string_to_metric_families(page) for sample in family.samples}
    dashboard = json.loads((FOLDER / "dashboard.json").read_text())
    panels = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    rules = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"][0]["rules"]
    asked = used(panels + [rule["expr"] for rule in rules])
    assert len(asked) > 20
    assert asked <= there, f"there is no {sorted(asked - there)}"
    assert used([*there]) - asked <= {name for name in there if name.endswith(("_created", "_sum", "_count"))} | UNSHOWN


UNSHOWN = {"gateway_draining", "gateway_process_virtual_memory_bytes", "gateway_process_start_time_seconds"}
"""Not on the dashboard."""


def with_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make NVIDIA's library report one GPU without a power reading."""
    answers = {
        "nvmlInit": lambda: None,
        "nvmlDeviceGetCount": lambda: 1,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetName": lambda _: "NVIDIA RTX 4090",
        "nvmlDeviceGetUtilizationRates": lambda _: SimpleNamespace(gpu=50),
        "nvmlDeviceGetMemoryInfo": lambda _: SimpleNamespace(used=1024, total=4096),
        "nvmlDeviceGetTemperature": lambda *_: 61,
        "nvmlDeviceGetPowerUsage": lambda _: 250_000,
    }
    for name, answer in answers.items():
        monkeypatch.setattr(pynvml, name, answer)


def test_gpu_metrics_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpu(monkeypatch)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetPowerUsage", not_supported)
    [*metrics] = GpuMetrics().read()
    values = {metric.name: metric.samples[0].value for metric in metrics}
    assert values == {
        "gateway_gpu_utilization_ratio": 0.5,
        "gateway_gpu_memory_used_bytes": 1024,
        "gateway_gpu_memory_total_bytes": 4096,
        "gateway_gpu_temperature_celsius": 61,
    }
    assert metrics[0].samples[0].labels == {"gpu": "0", "model": "NVIDIA RTX 4090"}


def not_supported(_device: object) -> float:
    raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)


def test_a_machine_without_a_gpu_has_no_gpu_metrics() -> None:
    code = "from provisioning.gateway.monitoring.gpu import GpuMetrics as G; g = G(); print(g.read(), g.read())"
    environ = {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": "", "CUDA_VISIBLE_DEVICES": ""}
    root = Path(__file__).parents[4]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=environ, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
