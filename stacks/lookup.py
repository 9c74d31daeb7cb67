"""Asks the provider what can be rented; without an API key it answers from its dated price file and says so."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from components import runpod
from components.errors import CatalogueError
from components.naming import PAUSED, RUNNING_COST, VOLUME_CENTER
from components.placement import Catalogue, Offer


def catalogue(gpu_count: int) -> Catalogue:
    """Return prices, stock and data centres for pods with that many GPUs in Secure Cloud.

    Raises:
        CatalogueError: RunPod did not answer, or refused the key.
    """
    try:
        gpus = runpod.get_gpu_types(gpu_count=gpu_count, cloud_type="SECURE")
        centers = runpod.get_data_centers()
    except Exception as error:  # the SDK raises a bare Exception with the provider's sentence at its end
        raise CatalogueError(str(error).rpartition("returned an error: ")[2]) from error
    return Catalogue(
        offers=tuple(Offer(g.id, g.memory_gb, g.secure_price, dict(g.data_centers)) for g in gpus.gpu_types),
        data_centers=frozenset(c.id for c in centers.data_centers if c.network_volume_types),
        source=gpus.source,
        as_of=date.fromisoformat(gpus.as_of),
    )


def running_usd_per_hour(environ: Mapping[str, str]) -> float | None:
    """Return what the stack costs now, 0 when nothing runs; None where only the engine was started and nobody asked."""
    messages = environ.get(RUNNING_COST)
    return None if messages is None else float(messages or 0)


def volume_center(environ: Mapping[str, str]) -> str:
    """Return the data centre of a volume that is there already; empty when it is not, or nobody told."""
    return environ.get(VOLUME_CENTER, "")


def paused(environ: Mapping[str, str]) -> bool:
    """Return whether the environment is to be without a pod; with one where nobody told."""
    return environ.get(PAUSED, "") == "1"
