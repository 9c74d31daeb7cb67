"""The inputs of a pod, as a program declares them and as the provider has checked them."""

from __future__ import annotations

from typing import Any

from components.runpod.plugin.base.resource import ProviderOperation
from components.runpod.plugin.resources.pod import PodHandler
from tests.unit.components.runpod.conftest import GUARD

DECLARED: dict[str, Any] = {
    "name": "gpu",
    "imageName": "image:1",
    "gpuTypeIdList": ["NVIDIA RTX A5000", "NVIDIA GeForce RTX 4090"],
    "guard": GUARD,
    "ports": "8189/http, 22/tcp",
    "env": {"A": "1"},
}


def checked(operation: ProviderOperation, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any input
    inputs, failures = PodHandler().check(operation, {}, {**DECLARED, **changes})
    assert failures == []
    return inputs
