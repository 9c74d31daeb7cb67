"""Metrics of the machine's GPUs, from NVIDIA's management library; none on a machine without a GPU."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pynvml
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

_log = logging.getLogger(__name__)

_LABELS = ("gpu", "model")

Reading = tuple[str, str, Callable[[Any], float]]

_READINGS: tuple[Reading, ...] = (
    (
        "gateway_gpu_utilization_ratio",
        "Share of the last sample period in which the GPU was busy.",
        lambda device: pynvml.nvmlDeviceGetUtilizationRates(device).gpu / 100,
    ),
    (
        "gateway_gpu_memory_used_bytes",
        "GPU memory in use.",
        lambda device: pynvml.nvmlDeviceGetMemoryInfo(device).used,
    ),
    (
        "gateway_gpu_memory_total_bytes",
        "Total GPU memory.",
        lambda device: pynvml.nvmlDeviceGetMemoryInfo(device).total,
    ),
    (
        "gateway_gpu_temperature_celsius",
        "The GPU's temperature.",
        lambda device: pynvml.nvmlDeviceGetTemperature(device, pynvml.NVML_TEMPERATURE_GPU),
    ),
    (
        "gateway_gpu_power_watts",
        "The GPU's power draw.",
        lambda device: pynvml.nvmlDeviceGetPowerUsage(device) / 1000,
    ),
)


class GpuMetrics:
    """Reads the GPUs; blocks for a few milliseconds per GPU."""

    def __init__(self) -> None:
        self._devices: list[tuple[str, str, Any]] | None = None

    def read(self) -> list[Metric]:
        """Return a gauge for each reading of the GPUs; empty without a GPU or its library."""
        if self._devices is None:
            self._devices = list(_devices())
            _log.info("gpus found", extra={"count": len(self._devices)})
        return [metric for reading in _READINGS if (metric := self._gauge(*reading)).samples]

    def _gauge(self, name: str, text: str, read: Callable[[Any], float]) -> Metric:
        gauge = GaugeMetricFamily(name, text, labels=_LABELS)
        for index, model, device in self._devices or ():
            # Some models lack some readings, and a GPU may fail at any time.
            with contextlib.suppress(pynvml.NVMLError):
                gauge.add_metric((index, model), read(device))
        return gauge


def _devices() -> Iterator[tuple[str, str, Any]]:
    with contextlib.suppress(pynvml.NVMLError):
        pynvml.nvmlInit()
        for index in range(pynvml.nvmlDeviceGetCount()):
            device = pynvml.nvmlDeviceGetHandleByIndex(index)
            yield str(index), str(pynvml.nvmlDeviceGetName(device)), device
