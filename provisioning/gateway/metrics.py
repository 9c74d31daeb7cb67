"""What the gateway counts about itself, in Prometheus' text format; numbers alone, by route patterns and states."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[tuple[str, str], ...]


@dataclass
class RequestCounts:
    """Requests since the process began, by method, route and status."""

    requests: Counter[Labels] = field(default_factory=Counter)
    milliseconds: defaultdict[Labels, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, method: str, route: str, status: int, duration_ms: int) -> None:
        """Count one answer; a request that matched no route is counted without its path."""
        # A method is the client's own text; only those of routes are known words.
        labels = (("method", method if route else ""), ("route", route), ("status", str(status)))
        self.requests[labels] += 1
        self.milliseconds[labels] += duration_ms


def family(name: str, kind: str, text: str, samples: Mapping[Labels, float]) -> str:
    """Return one metric with its samples."""
    lines = [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
    lines += [f"{name}{_labels(labels)} {value}" for labels, value in sorted(samples.items())]
    return "\n".join(lines) + "\n"


def page(families: Iterable[str]) -> bytes:
    """Return the whole page."""
    return "".join(families).encode()


def _labels(labels: Labels) -> str:
    inner = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)
    return f"{{{inner}}}" if inner else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
