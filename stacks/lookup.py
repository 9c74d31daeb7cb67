"""Asks the provider what can be rented; without an API key it answers from its dated price file and says so."""

from __future__ import annotations

from datetime import date

from components import runpod
from components.errors import CatalogueError
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
