"""Numbers for a monitor."""

from __future__ import annotations

from collections import Counter

from provisioning.gateway import metrics
from provisioning.gateway.jobs.job import FINAL
from provisioning.gateway.services import Services
from provisioning.gateway.web.exchange import Exchange


async def show(services: Services, exchange: Exchange) -> None:
    """Answer with the gateway's metrics: requests, jobs in flight and ended, GPU time and cost, listeners."""
    counts, usage = services.counts, await services.ledger.usage(None, 0)
    live = Counter(job.state.value for job in services.tracker.of(None))
    ended: Counter[str] = Counter()
    for row in usage:
        if row["state"] in FINAL:
            ended[row["state"]] += row["jobs"]
    seconds = {labels: total / 1000 for labels, total in counts.milliseconds.items()}
    gpu_seconds = sum(row["gpu_ms"] for row in usage) / 1000
    dollars = sum(row["usd_micros"] for row in usage) / 1e6
    families = (
        metrics.family("gateway_requests_total", "counter", "Requests answered.", counts.requests),
        metrics.family("gateway_request_seconds_total", "counter", "Time to answer them.", seconds),
        metrics.family("gateway_jobs_in_flight", "gauge", "Jobs without an end.", _by_state(live)),
        metrics.family("gateway_jobs_ended_total", "counter", "Jobs that ended.", _by_state(ended)),
        metrics.family("gateway_gpu_seconds_total", "counter", "GPU time of all jobs.", {(): gpu_seconds}),
        metrics.family("gateway_cost_usd_total", "counter", "What that cost.", {(): dollars}),
        metrics.family("gateway_listeners", "gauge", "Open event streams.", {(): len(list(services.hub))}),
        metrics.family("gateway_comfyui_up", "gauge", "Is ComfyUI connected?", {(): int(services.feed.connected)}),
        metrics.family("gateway_gpu_fault", "gauge", "Is the queue held?", {(): int(services.scheduler.latch.closed)}),
    )
    await exchange.send(200, metrics.page(families), [("content-type", metrics.CONTENT_TYPE)])


def _by_state(counts: Counter[str]) -> dict[metrics.Labels, float]:
    return {(("state", state),): count for state, count in counts.items()}
