"""Progress messages of custom nodes, which may hold any JSON."""

from __future__ import annotations

import json

import pytest

from provisioning.gateway.jobs.progress import JobProgress


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ('{"value": 3, "max": 20}', (3, 20)),
        ('{"value": 2.5, "max": 10.0}', (2, 10)),
        ('{"value": -1, "max": 10}', (0, 10)),
        ('{"value": 1, "max": -10}', (1, 0)),
        ('{"value": NaN, "max": 10}', (None, None)),
        ('{"value": 1, "max": Infinity}', (None, None)),
        ('{"value": "1", "max": null}', (None, None)),
    ],
)
def test_progress_ignores_values_that_are_not_numbers(data: str, expected: tuple[int | None, int | None]) -> None:
    progress = JobProgress()
    progress.advance("progress", json.loads(data))
    assert (progress.step, progress.steps) == expected
