"""What the program is told by the commands that start the engine."""

from __future__ import annotations

import pytest

from components.naming import RUNNING_COST, VOLUME_CENTER
from stacks.lookup import running_usd_per_hour, volume_center


@pytest.mark.parametrize(
    ("environ", "expected"), [({}, None), ({RUNNING_COST: ""}, 0.0), ({RUNNING_COST: "0.2751"}, 0.2751)]
)
def test_unknown_zero_and_a_price_are_distinct(environ: dict[str, str], expected: float | None) -> None:
    assert running_usd_per_hour(environ) == expected


def test_where_the_volume_is_comes_from_the_commands() -> None:
    assert volume_center({VOLUME_CENTER: "EU-RO-1"}) == "EU-RO-1"
    assert volume_center({}) == ""
