"""The one table that the bench prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

NAME, TARGET = 38, 16
_COLUMNS = ("req/s", "p50 ms", "p95 ms", "CPU ms", "p50 +ms", "/direct", "/nginx", "/proxy")
_WIDTH = 8


@dataclass(frozen=True)
class Row:
    """What one target did with one kind of request; None stands for what was not measured there."""

    name: str
    target: str
    per_second: float | None = None
    p50: float | None = None
    """Milliseconds."""
    p95: float | None = None
    cpu_ms: float | None = None
    """Of the process under test, per request."""
    added: float | None = None
    """Milliseconds of p50 over the direct one."""
    ratios: Sequence[float | None] = (None, None, None)
    """Requests per second to those of the direct way, nginx and comfy-api-proxy."""
    verdict: str = ""
    """The figure that an aim is set for, the aim, and whether it was met."""

    def line(self) -> str:
        """Return the row's text."""
        cells = (
            _number(self.per_second, 0), _number(self.p50, 3), _number(self.p95, 3), _number(self.cpu_ms, 3),
            _number(self.added, 3), *(_number(ratio, 2) for ratio in self.ratios),
        )  # fmt: skip
        return f"{self.name:<{NAME}}{self.target:<{TARGET}}{''.join(cells)}  {self.verdict}".rstrip()


def verdict(what: str, value: float, unit: str, limit: float, *, least: bool = False) -> str:
    """Return a figure beside its aim, which is the most it may be, or with `least` the least."""
    met = value >= limit if least else value <= limit
    return f"{what} {value:.3g}{unit}, aim {'>=' if least else '<='} {limit:g}{unit}: {'met' if met else 'MISSED'}"


def head() -> str:
    """Return the table's first line."""
    return f"{'what':<{NAME}}{'target':<{TARGET}}{''.join(f'{name:>{_WIDTH}}' for name in _COLUMNS)}  aim"


def as_json(rows: Sequence[Row], machine: str) -> str:
    """Return the rows and the machine that they were measured on as JSON."""
    return json.dumps({"machine": machine, "rows": [asdict(row) for row in rows]}, indent=1)


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _number(value: float | None, digits: int) -> str:
    return f"{'' if value is None else f'{value:.{digits}f}':>{_WIDTH}}"
