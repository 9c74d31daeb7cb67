"""The gateway's metrics for Prometheus; labels are route patterns, states and codes, never names of users or keys.

Requests and errors are counted as they happen; everything else is read at each scrape, by `snapshot`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from provisioning.gateway.core.problems import Problem

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 90.0)
"""Seconds: from a response out of memory to the longest timeout."""


class Metrics:
    """The metrics of a gateway, in a registry of its own."""

    def __init__(self, lasting: Collection[str] = ()) -> None:
        """`lasting`: routes with responses of unlimited duration, such as event streams, which have no latency."""
        self._registry = CollectorRegistry()
        self._lasting = frozenset(lasting)
        # Cached per combination of labels, of which there are few.
        self._requests = cache(self._counter("requests", "Requests answered.", "method", "route", "status").labels)
        self._seconds = cache(self._histogram().labels)
        self._refusals = self._counter("refusals", "Error responses by code.", "code")
        self._limited = self._counter("rate_limited", "Refused requests by limit.", "policy")
        self._state = _State()
        self._registry.register(self._state)
        ProcessCollector(namespace="gateway", registry=self._registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"gateway_{name}", text, labels, registry=self._registry)

    def _histogram(self) -> Histogram:
        name, text = (
            "gateway_request_duration_seconds",
            "Time until a response was complete, without event streams.",
        )
        return Histogram(name, text, ("method", "route"), registry=self._registry, buckets=BUCKETS)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a response; a request that matched no route is counted without its method and path."""
        # The client chooses both, so that only those of routes may become labels.
        method = method if route else ""
        self._requests(method, route, status).inc()
        if route not in self._lasting:
            self._seconds(method, route).observe(seconds)

    def refused(self, problem: Problem) -> None:
        """Count an error response."""
        self._refusals.labels(problem.code.value).inc()
        for policy in problem.members.get("violated-policies", ()):
            self._limited.labels(policy).inc()

    def page(self, snapshot: Iterable[Metric]) -> bytes:
        """Return all metrics, with those of `snapshot`, in Prometheus' text format."""
        self._state.metrics = list(snapshot)
        return generate_latest(self._registry)


class _State(Collector):
    """Collects the metrics of the last snapshot."""

    def __init__(self) -> None:
        self.metrics: list[Metric] = []

    def collect(self) -> Iterable[Metric]:
        """Return the metrics of the last snapshot."""
        return self.metrics
