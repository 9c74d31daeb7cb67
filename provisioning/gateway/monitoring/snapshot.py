"""The current state of the gateway as metrics: jobs, queue, parts and cost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from provisioning.gateway.core.clock import Clock
from provisioning.gateway.events.comfyui_listener import ComfyUIListener
from provisioning.gateway.events.open_streams import OpenStreams
from provisioning.gateway.jobs.job import FINAL, JobState
from provisioning.gateway.jobs.lifecycle import Lifecycle
from provisioning.gateway.jobs.scheduler import Scheduler
from provisioning.gateway.jobs.totals import Total, Totals
from provisioning.gateway.jobs.tracker import Tracker
from provisioning.gateway.monitoring.gpu import GpuMetrics
from provisioning.gateway.webhooks.deliveries import Deliveries


class QueueMetrics:
    """Reads the metrics of jobs in memory."""

    def __init__(self, tracker: Tracker, scheduler: Scheduler, clock: Clock) -> None:
        self._tracker = tracker
        self._scheduler = scheduler
        self._clock = clock

    def read(self) -> Iterator[Metric]:
        """Return the metrics of unfinished jobs and of the queue."""
        live = Counter(job.state.value for job in self._tracker.of_owner(None))
        states = [state.value for state in JobState if state not in FINAL]
        yield _by_state("gateway_jobs_in_flight", "Unfinished jobs.", {state: live[state] for state in states})
        waiting = self._scheduler.waiting()
        oldest = min((job.submitted_at for job in waiting), default=self._clock.now_ms())
        yield _gauge("gateway_queue_length", "Jobs not yet submitted to ComfyUI.", len(waiting))
        age = (self._clock.now_ms() - oldest) / 1000
        yield _gauge("gateway_queue_oldest_seconds", "Age of the oldest waiting job.", age)


class StatusMetrics:
    """Reads the metrics of the gateway's parts, and the pod's price."""

    def __init__(
        self,
        streams: OpenStreams,
        listener: ComfyUIListener,
        scheduler: Scheduler,
        lifecycle: Lifecycle,
        usd_per_hour: float,
    ) -> None:
        self._streams = streams
        self._listener = listener
        self._scheduler = scheduler
        self._lifecycle = lifecycle
        self._usd_per_hour = usd_per_hour

    def read(self) -> Iterator[Metric]:
        """Return the metrics of streams, ComfyUI, GPU faults, draining and the price."""
        yield _gauge("gateway_listeners", "Open event streams and WebSockets.", len(self._streams))
        yield _gauge("gateway_comfyui_up", "Whether ComfyUI is connected.", self._listener.connected)
        yield _gauge(
            "gateway_gpu_fault", "Whether the queue is stopped because of a GPU fault.", self._scheduler.breaker.is_open
        )
        yield _gauge("gateway_draining", "Whether the gateway is shutting down.", self._lifecycle.draining)
        yield _gauge("gateway_pod_usd_per_hour", "The pod's price per hour.", self._usd_per_hour)


class DatabaseMetrics:
    """Reads the metrics that the database holds."""

    def __init__(self, totals: Totals, deliveries: Deliveries) -> None:
        self._totals = totals
        self._deliveries = deliveries

    async def read(self) -> list[Metric]:
        """Return the totals of all jobs, and the pending deliveries; raises Problem STORE_UNAVAILABLE."""
        totals = await self._totals.by_state()
        jobs = CounterMetricFamily("gateway_jobs_ended", "Ended jobs.", labels=("state",))
        for state in sorted(state.value for state in FINAL):
            jobs.add_metric((state,), totals.get(state, Total()).jobs)
        seconds = CounterMetricFamily("gateway_gpu_seconds", "GPU time of all jobs.")
        seconds.add_metric((), sum(total.gpu_ms for total in totals.values()) / 1000)
        dollars = CounterMetricFamily("gateway_cost_usd", "Cost of the GPU time of all jobs.")
        dollars.add_metric((), sum(total.usd_micros for total in totals.values()) / 1e6)
        pending, text = await self._deliveries.count_pending(), "Webhook messages waiting for an attempt."
        return [jobs, seconds, dollars, _gauge("gateway_webhook_deliveries_pending", text, pending)]


class Snapshot:
    """Reads all metrics that are not counted per request."""

    def __init__(self, queue: QueueMetrics, status: StatusMetrics, database: DatabaseMetrics, gpus: GpuMetrics) -> None:
        self._queue = queue
        self._status = status
        self._database = database
        self._gpus = gpus

    async def take(self) -> list[Metric]:
        """Return the current metrics; raises Problem STORE_UNAVAILABLE."""
        gpus = await asyncio.to_thread(self._gpus.read)
        return [*self._queue.read(), *self._status.read(), *await self._database.read(), *gpus]


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _by_state(name: str, text: str, counts: Mapping[str, int]) -> Metric:
    gauge = GaugeMetricFamily(name, text, labels=("state",))
    for state, count in counts.items():
        gauge.add_metric((state,), count)
    return gauge
