"""What the gateway counts about itself, for Prometheus; labels are route patterns, states and codes, never names.

Requests and errors are counted as they happen; everything else is read when a monitor asks, in `snapshot`.
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
"""Seconds: from an answer out of memory to the longest that any is waited for."""


class Metrics:
    """The counts of one gateway; every gateway has a registry of its own."""

    def __init__(self, lasting: Collection[str] = ()) -> None:
        """`lasting`: routes whose answers go on for as long as the client likes, and so have no latency."""
        self._registry = CollectorRegistry()
        self._lasting = frozenset(lasting)
        # Labels are route patterns, so that there are few; each is bound once.
        self._requests = cache(self._counter("requests", "Requests answered.", "method", "route", "status").labels)
        self._seconds = cache(self._histogram().labels)
        self._refusals = self._counter("refusals", "Errors answered, by their code.", "code")
        self._limited = self._counter("rate_limited", "Requests refused, by the limit that did.", "policy")
        self._state = _State()
        self._registry.register(self._state)
        ProcessCollector(namespace="gateway", registry=self._registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"gateway_{name}", text, labels, registry=self._registry)

    def _histogram(self) -> Histogram:
        name, text = (
            "gateway_request_duration_seconds",
            "Time until a request was answered whole, event streams left out.",
        )
        return Histogram(name, text, ("method", "route"), registry=self._registry, buckets=BUCKETS)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer; a request that matched no route is counted without its method and path."""
        # Both are the client's own text; only those of routes are known words.
        method = method if route else ""
        self._requests(method, route, status).inc()
        if route not in self._lasting:
            self._seconds(method, route).observe(seconds)

    def refused(self, problem: Problem) -> None:
        """Count an error that was answered."""
        self._refusals.labels(problem.code.value).inc()
        for policy in problem.members.get("violated-policies", ()):
            self._limited.labels(policy).inc()

    def page(self, snapshot: Iterable[Metric]) -> bytes:
        """Return everything in Prometheus' text format, with what was looked at just now."""
        self._state.metrics = list(snapshot)
        return generate_latest(self._registry)


class _State(Collector):
    """Hands over what was looked at last."""

    def __init__(self) -> None:
        self.metrics: list[Metric] = []

    def collect(self) -> Iterable[Metric]:
        """Return it."""
        return self.metrics
