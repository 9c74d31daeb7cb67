"""What the gateway counts about itself, for Prometheus; labels are route patterns, states and codes, never names.

Requests are counted on the hot path, through children that are bound once; everything else is looked at when a monitor
asks, in `snapshot`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from provisioning.gateway.problems import Problem

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 90.0)
"""Seconds: from an answer out of memory to the longest that any is waited for."""

Observe = Callable[[float], None]
Add = Callable[[], None]


class Metrics:
    """The counts of one gateway; every gateway has a registry of its own."""

    def __init__(self, lasting: Collection[str] = ()) -> None:
        """`lasting`: routes whose answers go on for as long as the client likes, and so have no latency."""
        self._registry = CollectorRegistry()
        self._lasting = frozenset(lasting)
        self._requests = self._counter("requests", "Requests answered.", "method", "route", "status")
        self._refusals = self._counter("refusals", "Errors answered, by their code.", "code")
        self._limited = self._counter("rate_limited", "Requests refused, by the limit that did.", "policy")
        self._seconds = Histogram(
            "gateway_request_duration_seconds",
            "Time until a request was answered whole, event streams left out.",
            ("method", "route"),
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._bound: dict[tuple[str, str, int], tuple[Add, Observe | None]] = {}
        self._state = _State()
        self._registry.register(self._state)
        ProcessCollector(namespace="gateway", registry=self._registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"gateway_{name}", text, labels, registry=self._registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer; a request that matched no route is counted without its method and path."""
        # Both are the client's own text; only those of routes are known words.
        key = (method, route, status) if route else ("", "", status)
        add, observe = self._bound.get(key) or self._bind(key)
        add()
        if observe is not None:
            observe(seconds)

    def _bind(self, key: tuple[str, str, int]) -> tuple[Add, Observe | None]:
        method, route, status = key
        add: Add = self._requests.labels(method, route, str(status)).inc
        bound = (add, None if route in self._lasting else self._seconds.labels(method, route).observe)
        self._bound[key] = bound
        return bound

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
