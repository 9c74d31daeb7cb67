"""The operations for health probes and metrics."""

from __future__ import annotations

import logging
from typing import Literal

from starlette.responses import Response

from provisioning.gateway.core.http.operation import UPSTREAM, Access, Answer, Operation, Tag
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.monitoring import metrics
from provisioning.gateway.monitoring.metrics import Metrics
from provisioning.gateway.monitoring.readiness import GatewayReadiness
from provisioning.gateway.monitoring.schemas import Alive, Healthy, Ready, ReadyAndIsolated
from provisioning.gateway.monitoring.snapshot import Snapshot

Isolation = Literal["landlock", "folder", "none", ""]

METRICS = """# HELP gateway_comfyui_up Is ComfyUI connected?
# TYPE gateway_comfyui_up gauge
gateway_comfyui_up 1.0
"""

_log = logging.getLogger(__name__)


class ProbeRoutes:
    """Reports whether the process is alive and whether the gateway is ready for jobs."""

    def __init__(self, readiness: GatewayReadiness, isolation: Isolation) -> None:
        """`isolation`: how ComfyUI is isolated from the rest of the pod."""
        self._readiness = readiness
        self._isolation = isolation

    @Operation(
        method="GET",
        path="/livez",
        access=Access.PUBLIC,
        tag=Tag.OPERATIONS,
        summary="Check liveness",
        text="Needs no key and has no side effects.",
        answers=(Answer("The process is alive.", Alive, {"status": "alive"}),),
    )
    async def livez(self, request: GatewayRequest) -> Alive:  # noqa: ARG002 - the form of a handler
        """Answer that the process is alive."""
        return Alive()

    @Operation(
        method="GET",
        path="/api/v2/health",
        access=Access.ANY,
        tag=Tag.GATEWAY,
        summary="Check the Comfy API",
        text="For clients of the Comfy API; does not check ComfyUI.",
        answers=(Answer("The Comfy API is available.", Healthy, {"status": "healthy"}),),
    )
    async def health(self, request: GatewayRequest) -> Healthy:  # noqa: ARG002 - the form of a handler
        """Answer that the Comfy API v2 is available, without a request to ComfyUI."""
        return Healthy()

    @Operation(
        method="GET",
        path="/readyz",
        access=Access.PUBLIC,
        tag=Tag.OPERATIONS,
        summary="Check readiness",
        text="Needs no key and gives no reason; `/api/gateway/ready` does.",
        answers=(Answer("The gateway is ready for jobs.", Ready, {"status": "ready"}),),
        problems=(Code.NOT_READY,),
    )
    async def readyz(self, request: GatewayRequest) -> Ready:  # noqa: ARG002 - the form of a handler
        """Answer whether the gateway is ready for jobs, without a reason, for callers without a key."""
        try:
            await self._readiness.check()
        except Problem as problem:
            _log.warning("not ready", extra={"code": problem.code.value})
            raise Problem(Code.NOT_READY) from problem
        return Ready()

    @Operation(
        method="GET",
        path="/api/gateway/ready",
        access=Access.ANY,
        tag=Tag.GATEWAY,
        summary="Check readiness, with the reason",
        answers=(
            Answer("The gateway is ready for jobs.", ReadyAndIsolated, {"status": "ready", "isolation": "landlock"}),
        ),
        problems=(Code.DRAINING, Code.GPU_FAULT, Code.UPSTREAM_STUCK, *UPSTREAM),
    )
    async def ready(self, request: GatewayRequest) -> ReadyAndIsolated:  # noqa: ARG002 - the form of a handler
        """Answer that the gateway is ready, and how ComfyUI is isolated; raises Problem with the reason if not."""
        await self._readiness.check()
        return ReadyAndIsolated(isolation=self._isolation)


class MetricsRoutes:
    """Serves the metrics."""

    def __init__(self, counts: Metrics, snapshot: Snapshot) -> None:
        self._counts = counts
        self._snapshot = snapshot

    @Operation(
        method="GET",
        path="/metrics",
        access=Scope.MONITOR,
        tag=Tag.OPERATIONS,
        summary="Read the metrics",
        answers=(Answer("The metrics in Prometheus' text format.", None, METRICS, media="text/plain"),),
    )
    async def show(self, request: GatewayRequest) -> Response:  # noqa: ARG002 - the form of a handler
        """Answer with the gateway's metrics: requests, queue, jobs, GPU and cost."""
        page = self._counts.page(await self._snapshot.take())
        return Response(page, media_type=metrics.CONTENT_TYPE)
