"""Estimates of job durations, from the durations of similar jobs."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import orjson

FIRST_GUESS_MS = 10_000.0
"""The estimate before any job has ended."""

NEWEST_WEIGHT = 0.3
"""Weight of the newest duration in the moving average; four jobs later it is a quarter of that."""

MAX_KINDS = 1000
"""Most kinds of jobs to remember, the latest ones."""

_MODEL_ENDINGS = (".safetensors", ".gguf", ".ckpt", ".pt", ".pth", ".bin", ".sft")
_CHOICES = frozenset({"sampler_name", "scheduler"})
_RANDOM = frozenset({"seed", "noise_seed", "control_after_generate"})


class Durations:
    """Averages the durations of each kind of job."""

    def __init__(self) -> None:
        self._any_ms = FIRST_GUESS_MS
        self._by_kind: OrderedDict[str, float] = OrderedDict()

    def expected_ms(self, kind: str) -> float:
        """Return the expected duration of a kind of job; the average of all recent jobs for an unknown kind."""
        return self._by_kind.get(kind, self._any_ms)

    def learn(self, kind: str, took_ms: int) -> None:
        """Record the duration of a job."""
        self._any_ms = _moved(self._any_ms, took_ms)
        known = self._by_kind.pop(kind, None)
        self._by_kind[kind] = float(took_ms) if known is None else _moved(known, took_ms)
        if len(self._by_kind) > MAX_KINDS:
            self._by_kind.popitem(last=False)


def _moved(known: float, took_ms: int) -> float:
    return (1 - NEWEST_WEIGHT) * known + NEWEST_WEIGHT * took_ms


def kind_of(workflow: Mapping[str, Any]) -> str:
    """Return a hash of what determines a workflow's duration: classes, models and numbers, not texts and seeds."""
    nodes = sorted(orjson.dumps([node["class_type"], _weights(node["inputs"])]) for node in workflow.values())
    return hashlib.sha256(b"\n".join(nodes)).hexdigest()


def _weights(inputs: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted((name, value) for name, value in inputs.items() if name not in _RANDOM and _weighs(name, value))


def _weighs(name: str, value: object) -> bool:
    if isinstance(value, str):
        return name in _CHOICES or value.endswith(_MODEL_ENDINGS)
    return isinstance(value, int | float)
