"""Probes and metrics."""

from __future__ import annotations

from provisioning.gateway.openapi.models.gateway import Alive, Ready
from provisioning.gateway.openapi.operation import Answer, Operation, Tag
from provisioning.gateway.problems import Code

_METRICS = """# HELP gateway_comfyui_up Is ComfyUI connected?
# TYPE gateway_comfyui_up gauge
gateway_comfyui_up 1.0
"""

TABLE = {
    "GET /livez": Operation(
        Tag.OPERATIONS,
        "Ask whether the process lives",
        (Answer("It does.", Alive, {"status": "alive"}),),
        "Needs no key and touches nothing.",
    ),
    "GET /readyz": Operation(
        Tag.OPERATIONS,
        "Ask whether jobs are taken",
        (Answer("They are.", Ready, {"status": "ready"}),),
        "Needs no key and says no reason; `/api/gateway/ready` does.",
        problems=(Code.NOT_READY,),
    ),
    "GET /metrics": Operation(
        Tag.OPERATIONS,
        "Read the metrics",
        (Answer("Prometheus' text format.", None, _METRICS, media="text/plain"),),
    ),
}
