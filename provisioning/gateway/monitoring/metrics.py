"""What the gateway counts about itself, for Prometheus; labels are route patterns, states and codes, never names.

Requests are counted in plain numbers, since all are counted on one thread and the library's own counters lock for each;
everything else is looked at when a monitor asks, in `snapshot`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from provisioning.gateway.problems import Problem

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 90.0)
"""Seconds: from an answer out of memory to the longest that any is waited for."""


class Metrics:
    """The counts of one gateway; every gateway has a registry of its own."""

    def __init__(self, lasting: Collection[str] = ()) -> None:
        """`lasting`: routes whose answers go on for as long as the client likes, and so have no latency."""
        self._registry = CollectorRegistry()
        self._answers = _Answers(frozenset(lasting))
        self._registry.register(self._answers)
        self._refusals = self._counter("refusals", "Errors answered, by their code.", "code")
        self._limited = self._counter("rate_limited", "Requests refused, by the limit that did.", "policy")
        self._state = _State()
        self._registry.register(self._state)
        ProcessCollector(namespace="gateway", registry=self._registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"gateway_{name}", text, labels, registry=self._registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer; a request that matched no route is counted without its method and path."""
        # Both are the client's own text; only those of routes are known words.
        self._answers.count((method, route, status) if route else ("", "", status), seconds)

    def refused(self, problem: Problem) -> None:
        """Count an error that was answered."""
        self._refusals.labels(problem.code.value).inc()
        for policy in problem.members.get("violated-policies", ()):
            self._limited.labels(policy).inc()

    def page(self, snapshot: Iterable[Metric]) -> bytes:
        """Return everything in Prometheus' text format, with what was looked at just now."""
        self._state.metrics = list(snapshot)
        return generate_latest(self._registry)


class _Tally:
    """The answers of one method, route and status."""

    __slots__ = ("number", "seconds", "slots")

    def __init__(self) -> None:
        self.number = 0
        self.seconds = 0.0
        self.slots = [0] * (len(BUCKETS) + 1)
        """How many took at most as long as each bucket says and longer than the one before; the last are the rest."""


class _Answers(Collector):
    """Counts answers, and how long they took."""

    def __init__(self, lasting: Collection[str]) -> None:
        self._lasting = lasting
        self._tallies: dict[tuple[str, str, int], _Tally] = {}

    def count(self, key: tuple[str, str, int], seconds: float) -> None:
        """Count one, by its method, route and status."""
        tally = self._tallies.get(key) or self._tallies.setdefault(key, _Tally())
        tally.number += 1
        tally.seconds += seconds
        tally.slots[bisect_left(BUCKETS, seconds)] += 1

    def collect(self) -> Iterator[Metric]:
        """Return the counts."""
        requests = CounterMetricFamily("gateway_requests", "Requests answered.", labels=("method", "route", "status"))
        text = "Time until a request was answered whole, event streams left out."
        durations = HistogramMetricFamily("gateway_request_duration_seconds", text, labels=("method", "route"))
        places: dict[tuple[str, str], list[_Tally]] = {}
        for (method, route, status), tally in self._tallies.items():
            requests.add_metric((method, route, str(status)), tally.number)
            if route not in self._lasting:
                places.setdefault((method, route), []).append(tally)
        yield requests
        for place, tallies in places.items():
            slots = [sum(each) for each in zip(*(tally.slots for tally in tallies), strict=True)]
            bounds = (*map(str, BUCKETS), "+Inf")
            seconds = sum(tally.seconds for tally in tallies)
            durations.add_metric(place, list(zip(bounds, accumulate(slots), strict=True)), seconds)
        yield durations


class _State(Collector):
    """Hands over what was looked at last."""

    def __init__(self) -> None:
        self.metrics: list[Metric] = []

    def collect(self) -> Iterable[Metric]:
        """Return it."""
        return self.metrics
