from __future__ import annotations

from provisioning.gateway.metrics import family
from tests.unit.gateway.conftest import Gate, finish, submit


async def test_a_monitor_reads_what_happened(gate: Gate) -> None:
    job, _ = await submit(gate.alice), await submit(gate.bob)
    await finish(gate, job)
    await gate.alice.get("/nothing/of/the/kind")
    answer = await gate.admin.get("/metrics")
    lines = set(answer.text.splitlines())
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'gateway_requests_total{method="POST",route="/prompt",status="200"} 2' in lines
    assert 'gateway_requests_total{method="",route="",status="404"} 1' in lines
    assert 'gateway_jobs_ended_total{state="completed"} 1' in lines
    assert {"gateway_gpu_seconds_total 1.5", "gateway_cost_usd_total 0.0015", "gateway_comfyui_up 1"} <= lines
    assert "/nothing" not in answer.text
    assert gate.keyring.alice not in answer.text


def test_label_values_cannot_end_their_quotes() -> None:
    text = family("a", "gauge", "b", {(("c", 'x"y\n\\'),): 1})
    assert text.splitlines()[2] == 'a{c="x\\"y\\n\\\\"} 1'
