"""Pods and volumes as the API lists them, for tests."""

from __future__ import annotations

from typing import Any

from components.runpod.api import NetworkVolume, Pod
from components.runpod.marker import Marker
from stacks.cli.account import account_items
from stacks.cli.account.account_items import AccountItem

Thing = Pod | NetworkVolume
OURS = Marker("0123456789", "aaaaaaaa", "bbbbbbbb")
OTHERS = Marker("9876543210", "aaaaaaaa", "bbbbbbbb")


def a_pod(identity: str = "p1", name: str = "by-hand", **more: Any) -> Pod:  # noqa: ANN401
    fields = {"id": identity, "name": name, "status": "RUNNING", "image": "i", "cost": 0.5, **more}
    return Pod.model_validate(fields)


def a_volume(identity: str = "v1", name: str = "by-hand", size: int = 100) -> NetworkVolume:
    return NetworkVolume.model_validate({"id": identity, "name": name, "size": size, "dataCenter": "EU-RO-1"})


def an_item(thing: Thing) -> AccountItem:
    found = (
        account_items.to_items([thing], [], {}) if isinstance(thing, Pod) else account_items.to_items([], [thing], {})
    )
    return found[0]
