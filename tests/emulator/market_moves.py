"""Random changes of prices and stock; the same seed gives the same changes."""

from __future__ import annotations

import random

from tests.emulator.market import Market, catalogue

CHEAPEST, DEAREST = 0.6, 1.7
"""Of the catalogue's price, at most so far down and up: enough to change a GPU's tier."""
GONE = 0.1
"""Share of the offers that a cloud no longer has."""
STOCKS = (None, None, 40, 6, 2, 1, 0, 0, 0)
"""What a data centre may have of a GPU type; None is plenty."""


def move(market: Market, seed: int, *, stock: bool = True) -> None:
    """Set all prices, and unless told otherwise all stocks, by chance; pods that run keep their price."""
    chance = random.Random(seed)  # noqa: S311 - a market is to be repeatable, not secret
    for gpu in catalogue().gpus.values():
        for cloud, listed in (("SECURE", gpu.secure), ("COMMUNITY", gpu.community)):
            price = round((listed or 0.0) * chance.uniform(CHEAPEST, DEAREST), 2)
            market.set_price(gpu.id, cloud, None if listed is None or chance.random() < GONE else max(price, 0.01))
        for place in catalogue().data_centers.values() if stock else ():
            market.set_stock(gpu.id, place.id, chance.choice(STOCKS))
