"""How the gateway is at this moment: its jobs, its queue, its parts, its cost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from sqlalchemy import func, select

from provisioning.gateway.jobs.job import FINAL, JobState
from provisioning.gateway.jobs.totals import Total
from provisioning.gateway.services import Services
from provisioning.gateway.webhooks.records import DeliveryState
from provisioning.gateway.webhooks.tables import DeliveryRow


async def take(services: Services) -> list[Metric]:
    """Return a metric for everything there is to see; raises Problem STORE_UNAVAILABLE."""
    gpus = await asyncio.to_thread(services.gpus.read)
    return [*_now(services), *await _ever(services), await _webhooks(services), *gpus]


def _now(services: Services) -> Iterator[Metric]:
    jobs = services.tracker.of(None)
    live = Counter(job.state.value for job in jobs)
    states = [state.value for state in JobState if state not in FINAL]
    yield _by_state("gateway_jobs_in_flight", "Jobs without an end.", {state: live[state] for state in states})
    waiting = services.scheduler.waiting()
    oldest = min((job.submitted_at for job in waiting), default=services.clock.now_ms())
    yield _gauge("gateway_queue_length", "Jobs that ComfyUI has not been given.", len(waiting))
    age = (services.clock.now_ms() - oldest) / 1000
    yield _gauge("gateway_queue_oldest_seconds", "How long the oldest of them has waited.", age)
    yield _gauge("gateway_listeners", "Open event streams and WebSockets.", len(services.streams))
    yield _gauge("gateway_comfyui_up", "Is ComfyUI connected?", services.feed.connected)
    yield _gauge("gateway_gpu_fault", "Is the queue held because of the GPU?", services.scheduler.latch.closed)
    yield _gauge("gateway_draining", "Is the gateway shutting down?", services.draining)
    yield _gauge("gateway_pod_usd_per_hour", "The pod's price.", services.settings.usd_per_hour)


async def _ever(services: Services) -> list[Metric]:
    """Return what all jobs took since the database began."""
    totals = await services.ledger.totals.by_state()
    jobs = CounterMetricFamily("gateway_jobs_ended", "Jobs that ended.", labels=("state",))
    for state in sorted(state.value for state in FINAL):
        jobs.add_metric((state,), totals.get(state, Total()).jobs)
    seconds = CounterMetricFamily("gateway_gpu_seconds", "GPU time of all jobs.")
    seconds.add_metric((), sum(total.gpu_ms for total in totals.values()) / 1000)
    dollars = CounterMetricFamily("gateway_cost_usd", "What that cost.")
    dollars.add_metric((), sum(total.usd_micros for total in totals.values()) / 1e6)
    return [jobs, seconds, dollars]


async def _webhooks(services: Services) -> Metric:
    due = select(func.count()).select_from(DeliveryRow).where(DeliveryRow.state == DeliveryState.PENDING)
    waiting = await services.ledger.database.read(lambda connection: connection.execute(due).scalar_one())
    return _gauge("gateway_webhook_deliveries_pending", "Webhook messages that wait for an attempt.", waiting)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _by_state(name: str, text: str, counts: Mapping[str, int]) -> Metric:
    gauge = GaugeMetricFamily(name, text, labels=("state",))
    for state, count in counts.items():
        gauge.add_metric((state,), count)
    return gauge
