"""Whether the API key is of the account that holds what is in the state.

With a key of another account every id is unknown, and a refresh would forget what goes on billing. RunPod's API names
no account, and a hash of the key would change when the key is rotated. So a stack leaves a mark in its account: a
template, which costs nothing, with the stack's marker in its name. An unknown id means "gone" only where that mark, or
anything else of the stack, can be seen with the same key.
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
"""Environment variable by which a person says for one command that the key is right and what is missing is gone."""

Warn = Callable[[str], None]


class OtherAccountError(RunPodError):
    """Nothing shows that the API key is of the account in which the stack's things are."""


@dataclass
class AccountCheck:
    """What is known in one process about the account of its key; safe to use from several threads."""

    believes: bool = False
    """A person has said that what is missing is gone."""
    seen: set[str] = field(default_factory=set)
    """Instance ids of stacks of which something was seen with this key."""
    marked: set[str] = field(default_factory=set)
    """Instance ids of stacks whose mark was looked for or left by this process."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def saw(self, marker: Marker | None) -> None:
        """Note that something of a stack was seen."""
        if marker is not None:
            self.seen.add(marker.instance)

    def mark(self, client: Client, instance: str, warn: Warn) -> None:
        """Have the stack's mark in the account, once per process; a failure is told and ends nothing."""
        with self._lock:
            if instance in self.marked:
                return
            self.marked.add(instance)
            try:
                if not any(marker.instance == instance for marker in _marks(client)):
                    name = new_marker(instance, _URN).name(BASE)
                    client.templates.create({"name": name, "image": "none"})
            except AccessDeniedError:
                return  # A key for pods alone; pods and volumes themselves show whose the account is.
            except CallError as error:
                warn(f"the account could not be marked as this stack's: {error}")

    def check(self, client: Client, marker: Marker | None, what: str) -> None:
        """Return when an unknown id is of this account, and so gone; raises OtherAccountError when nothing shows it."""
        if marker is None or self.believes or marker.instance in self.seen:
            return
        if marker.instance in _instances(client):
            self.seen.add(marker.instance)
            return
        raise OtherAccountError(
            f"{what} is in the state, RunPod does not know it, and with this API key nothing else of the stack can be "
            "seen either: the key looks like one of another account, in which everything goes on and bills. The state "
            "stays as it is. Set the key of the account that the stack was made in (`pulumi config set --secret "
            "runpod:apiKey`) and run `pulumi refresh --run-program`: `destroy` uses the key that ran last. If the key "
            f"is right and all of it was ended outside, run the command once with {OVERRIDE}=1."
        )


def _instances(client: Client) -> Iterator[str]:
    """Yield the instance ids of all marked things that the key can see, what is cheapest to look at first."""
    looks: list[Callable[[], Iterable[Marker | None]]] = [
        lambda: _marks(client),
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


def _marks(client: Client) -> list[Marker]:
    markers = [marker_of(template.name) for template in client.templates.all() if inventory.is_mark(template.name)]
    return [marker for marker in markers if marker]
