"""The probes and the metrics."""

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
from provisioning.gateway.monitoring.readiness import Readiness
from provisioning.gateway.monitoring.schemas import Alive, Healthy, Ready, ReadyAndIsolated
from provisioning.gateway.monitoring.snapshot import Snapshot

Isolation = Literal["landlock", "folder", "none", ""]

METRICS = """# HELP gateway_comfyui_up Is ComfyUI connected?
# TYPE gateway_comfyui_up gauge
gateway_comfyui_up 1.0
"""

_log = logging.getLogger(__name__)


class ProbeRoutes:
    """Says whether the process lives and whether the gateway takes jobs."""

    def __init__(self, readiness: Readiness, isolation: Isolation) -> None:
        """`isolation`: how ComfyUI is kept apart from the rest of the pod."""
        self._readiness = readiness
        self._isolation = isolation

    @Operation(
        method="GET",
        path="/livez",
        access=Access.PUBLIC,
        tag=Tag.OPERATIONS,
        summary="Ask whether the process lives",
        text="Needs no key and touches nothing.",
        answers=(Answer("It does.", Alive, {"status": "alive"}),),
    )
    async def livez(self, request: GatewayRequest) -> Alive:  # noqa: ARG002 - the form of a handler
        """Say that the process answers."""
        return Alive()

    @Operation(
        method="GET",
        path="/api/v2/health",
        access=Access.ANY,
        tag=Tag.GATEWAY,
        summary="Ask whether the Comfy API answers",
        text="As the Comfy API's clients ask; says nothing of ComfyUI.",
        answers=(Answer("It does.", Healthy, {"status": "healthy"}),),
    )
    async def health(self, request: GatewayRequest) -> Healthy:  # noqa: ARG002 - the form of a handler
        """Say that the Comfy API v2 answers here, without a request to ComfyUI."""
        return Healthy()

    @Operation(
        method="GET",
        path="/readyz",
        access=Access.PUBLIC,
        tag=Tag.OPERATIONS,
        summary="Ask whether jobs are taken",
        text="Needs no key and says no reason; `/api/gateway/ready` does.",
        answers=(Answer("They are.", Ready, {"status": "ready"}),),
        problems=(Code.NOT_READY,),
    )
    async def readyz(self, request: GatewayRequest) -> Ready:  # noqa: ARG002 - the form of a handler
        """Say to anybody, and so without the reason, whether the gateway takes jobs; raises Problem when not."""
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
        summary="Ask whether jobs are taken, and why not",
        answers=(Answer("They are.", ReadyAndIsolated, {"status": "ready", "isolation": "landlock"}),),
        problems=(Code.DRAINING, Code.GPU_FAULT, Code.UPSTREAM_STUCK, *UPSTREAM),
    )
    async def ready(self, request: GatewayRequest) -> ReadyAndIsolated:  # noqa: ARG002 - the form of a handler
        """Say whether the gateway takes jobs, and how ComfyUI is isolated; raises Problem with the reason when not."""
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
        answers=(Answer("Prometheus' text format.", None, METRICS, media="text/plain"),),
    )
    async def show(self, request: GatewayRequest) -> Response:  # noqa: ARG002 - the form of a handler
        """Answer with the gateway's metrics: requests, queue, jobs, GPU and cost."""
        page = self._counts.page(await self._snapshot.take())
        return Response(page, media_type=metrics.CONTENT_TYPE)
