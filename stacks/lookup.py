"""Query the provider for available GPUs; without an API key it answers from its dated price file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from components import runpod
from components.errors import CatalogueError
from components.naming import PAUSED, RUNNING_COST, VOLUME_CENTER
from components.placement import GpuCatalogue, Offer


def catalogue(gpu_count: int) -> GpuCatalogue:
    """Return prices, stock and data centres for pods with this number of GPUs in Secure Cloud.

    Raises:
        CatalogueError: RunPod did not answer, or refused the key.
    """
    try:
        gpus = runpod.get_gpu_types(gpu_count=gpu_count, cloud_type="SECURE")
        centers = runpod.get_data_centers()
    except Exception as error:  # the SDK raises a bare Exception that ends with the provider's message
        raise CatalogueError(str(error).rpartition("returned an error: ")[2]) from error
    return GpuCatalogue(
        offers=tuple(Offer(g.id, g.memory_gb, g.secure_price, dict(g.data_centers)) for g in gpus.gpu_types),
        data_centers=frozenset(c.id for c in centers.data_centers if c.network_volume_types),
        source=gpus.source,
        as_of=date.fromisoformat(gpus.as_of),
    )


def running_usd_per_hour(environ: Mapping[str, str]) -> float | None:
    """Return the stack's current cost in USD per hour, 0 when nothing runs; None with plain `pulumi`."""
    messages = environ.get(RUNNING_COST)
    return None if messages is None else float(messages or 0)


def volume_center(environ: Mapping[str, str]) -> str:
    """Return the data centre of an existing volume; empty when there is none, or with plain `pulumi`."""
    return environ.get(VOLUME_CENTER, "")


def paused(environ: Mapping[str, str]) -> bool:
    """Return whether the environment is to be paused; false with plain `pulumi`."""
    return environ.get(PAUSED, "") == "1"
