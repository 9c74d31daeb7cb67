"""A pod handler, and the pods of one stack as the API shows them."""

from __future__ import annotations

from typing import Any

from components.runpod.api.models import Pod
from components.runpod.marker import ENV_NAME, Marker
from components.runpod.plugin.base.resource import ProviderOperation
from components.runpod.plugin.pods.pod_spec import PodSpec
from components.runpod.plugin.pods.readiness import PodReadiness
from components.runpod.plugin.resources.pod import PodHandler
from tests.unit.components.runpod.fake_api import pod
from tests.unit.components.runpod.pod_inputs import DECLARED

KIND = PodHandler()
WITHOUT_GPUS: dict[str, Any] = {"uptime": 9_000, "gpus": [], "ports": []}
GUARD = "0123456789"
MARKER = Marker(GUARD, "01234567", "89abcdef")


def live(**changes: object) -> Pod:
    env = {"A": "1", ENV_NAME: str(MARKER), "RUNPOD_POD_ID": "pod1", "PUBLIC_KEY": "ssh-rsa theirs"}
    return Pod.model_validate(pod(**{"name": MARKER.name("gpu"), "env": env, **changes}))


def bare_pod(**runtime: object) -> dict[str, object]:
    """Return a pod that shows no GPU."""
    return named_pod(runtime={**WITHOUT_GPUS, **runtime})


def named_pod(**changes: object) -> dict[str, object]:
    """Return a pod of the stack that is as it was declared."""
    return pod(**{"name": MARKER.name("gpu"), "env": {"A": "1", ENV_NAME: str(MARKER)}, **changes})


def wait(operation: ProviderOperation, before: Pod | None = None) -> Pod:
    inputs = {**{k: v for k, v in KIND.defaults.items() if v is not None}, **DECLARED}
    return PodReadiness(operation, operation.client(), PodSpec.parse(inputs)).wait("pod1", before)


WISH: dict[str, Any] = {"minMemoryGb": 24, "maxUsdPerHour": 0.3, "tiers": ["Mid"], "exclude": []}
