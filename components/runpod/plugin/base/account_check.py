"""Check that the API key belongs to the account of the resources in the state.

With a key of another account every id is unknown, and a refresh would drop resources that are still billed. RunPod's
API does not name the account, and a hash of the key would change when the key is rotated. So a stack creates an account
marker: a free template with the stack's marker in its name. An unknown id means "deleted" only if the account marker,
or any other resource of the stack, is visible with the same key.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from components.runpod import inventory
from components.runpod.api.client import Client
from components.runpod.api.errors import AccessDeniedError, CallError, RunPodError
from components.runpod.marker import Marker, marker_of, new_marker

BASE = inventory.ACCOUNT_MARK
_URN = "account"
OVERRIDE = "COMFYUI_RUNPOD_MISSING_IS_GONE"
"""Environment variable by which the operator confirms for one command that missing resources are deleted."""

Warn = Callable[[str], None]


class OtherAccountError(RunPodError):
    """Nothing proves that the API key belongs to the account of the stack's resources."""


@dataclass
class AccountCheck:
    """What one process knows about the account of its key; thread-safe."""

    believes: bool = False
    """Whether the operator confirmed that missing resources are deleted."""
    seen: set[str] = field(default_factory=set)
    """Instance ids of stacks with a resource that is visible with this key."""
    checked: set[str] = field(default_factory=set)
    """Instance ids whose account marker this process has checked or created."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def saw(self, marker: Marker | None) -> None:
        """Record that a resource of a stack is visible."""
        if marker is not None:
            self.seen.add(marker.instance)

    def ensure_marker(self, client: Client, instance: str, warn: Warn) -> None:
        """Create the stack's account marker if it is missing, once per process; a failure is only a warning."""
        with self._lock:
            if instance in self.checked:
                return
            self.checked.add(instance)
            try:
                if not any(marker.instance == instance for marker in _account_markers(client)):
                    name = new_marker(instance, _URN).name(BASE)
                    client.templates.create({"name": name, "image": "none"})
            except AccessDeniedError:
                return  # The key has permission for pods only; then pods and volumes identify the account.
            except CallError as error:
                warn(f"the account marker of this stack could not be created: {error}")

    def check(self, client: Client, marker: Marker | None, what: str) -> None:
        """Return when an unknown id is certainly deleted; raises OtherAccountError when the account is uncertain."""
        if marker is None or self.believes or marker.instance in self.seen:
            return
        if marker.instance in _instances(client):
            self.seen.add(marker.instance)
            return
        raise OtherAccountError(
            f"{what} is in the state but unknown to RunPod, and no other resource of the stack is visible with it. "
            "The key seems to belong to another account, while the stack's resources are still billed. The state "
            "was not changed. Set the key of the account that has the stack (`pulumi config set --secret "
            "runpod:apiKey`) and run `pulumi refresh --run-program`: `destroy` uses the last key. If the key is "
            f"right and all resources were deleted elsewhere, run the command once with {OVERRIDE}=1."
        )


def _instances(client: Client) -> Iterator[str]:
    """Yield the instance ids of all visible resources with a marker, the cheapest queries first."""
    looks: list[Callable[[], Iterable[Marker | None]]] = [
        lambda: _account_markers(client),
        lambda: [marker_of(pod.name, pod.env) for pod in client.list_pods()],
        lambda: [marker_of(volume.name) for volume in client.list_network_volumes()],
        lambda: [held.marker for held in inventory.list_resources(client, lambda _unseen: None)],
    ]
    for look in looks:
        try:
            markers = list(look())
        except AccessDeniedError:
            continue
        yield from (marker.instance for marker in markers if marker)


def _account_markers(client: Client) -> list[Marker]:
    markers = [
        marker_of(template.name) for template in client.templates.all() if inventory.is_account_marker(template.name)
    ]
    return [marker for marker in markers if marker]
