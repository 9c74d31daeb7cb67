"""Asks the provider what can be rented; without an API key it answers from its dated price file and says so."""

from __future__ import annotations

from datetime import date

from components import runpod
from components.placement import Catalogue, Offer


def catalogue(gpu_count: int) -> Catalogue:
    """Return prices, stock and data centres for pods with that many GPUs in Secure Cloud."""
    gpus = runpod.get_gpu_types(gpu_count=gpu_count, cloud_type="SECURE")
    centers = runpod.get_data_centers()
    return Catalogue(
        offers=tuple(Offer(g.id, g.memory_gb, g.secure_price, dict(g.data_centers)) for g in gpus.gpu_types),
        data_centers=frozenset(c.id for c in centers.data_centers if c.network_volume_types),
        source=gpus.source,
        as_of=date.fromisoformat(gpus.as_of),
    )
