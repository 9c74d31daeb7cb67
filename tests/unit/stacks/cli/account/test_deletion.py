"""Deletion from outside of a stack is verified."""

from __future__ import annotations

import pytest

from components.runpod.api import Client
from components.runpod.api.errors import AccessDeniedError, BadRequestError, NotFoundError
from components.runpod.api.models import NetworkVolume, Pod
from components.runpod.plugin.lifecycle import deletion_targets
from components.runpod.plugin.lifecycle.deletion import DeletionTiming
from stacks.cli.account.deletion import delete, delete_all
from tests.unit.stacks.cli.listed_resources import a_pod, a_volume, an_item


class Account(Client):
    """An API that answers as told; `lasts` is how many looks a deleted pod still lives."""

    def __init__(self, *, lasts: int = 0, busy: int = 0, denied: str = "", lists_for_ever: bool = False) -> None:
        super().__init__("key", "http://127.0.0.1:1")
        self.things: dict[str, Pod | NetworkVolume] = {"p1": a_pod(), "v1": a_volume()}
        self.lasts, self.busy, self.denied, self.lists_for_ever = lasts, busy, denied, lists_for_ever
        self.asked: list[str] = []
        self.dying: set[str] = set()

    def delete_pod(self, pod_id: str) -> None:
        self._delete(pod_id)

    def delete_network_volume(self, volume_id: str) -> None:
        self._delete(volume_id)

    def get_pod(self, pod_id: str) -> Pod:
        return Pod.model_validate(self._get(pod_id).model_dump(by_alias=True))

    def get_network_volume(self, volume_id: str) -> NetworkVolume:
        return NetworkVolume.model_validate(self._get(volume_id).model_dump(by_alias=True))

    def list_pods(self) -> list[Pod]:
        return [a_pod()] if self.lists_for_ever or "p1" in self.things else []

    def list_network_volumes(self) -> list[NetworkVolume]:
        return [a_volume()] if "v1" in self.things else []

    def _delete(self, identity: str) -> None:
        self.asked.append(identity)
        if identity == self.denied:
            raise AccessDeniedError("DELETE", "no")
        if identity == "v1" and self.busy:
            self.busy -= 1
            raise BadRequestError("DELETE", "in use")
        self.dying.add(identity)

    def _get(self, identity: str) -> Pod | NetworkVolume:
        self.lasts -= identity in self.dying
        if self.lasts < 0:
            self.things.pop(identity, None)
        if identity not in self.things:
            raise NotFoundError("GET", "no such id")
        return self.things[identity]


@pytest.fixture
def timing() -> DeletionTiming:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    return DeletionTiming(clock=lambda: now[0], sleep=sleep)


def test_pods_end_before_the_volumes_they_use(timing: DeletionTiming) -> None:
    account = Account()
    assert delete_all(account, [an_item(a_volume()), an_item(a_pod())], timing) == []
    assert account.asked == ["p1", "v1"]


def test_a_slow_end_is_waited_for_and_asked_for_again(timing: DeletionTiming) -> None:
    account = Account(lasts=10)
    assert delete(deletion_targets.pod(account, "p1"), timing) == ""
    assert account.asked == ["p1", "p1"]


def test_polling_slows_down() -> None:
    slept: list[float] = []
    timing = DeletionTiming(clock=lambda: sum(slept), sleep=slept.append)
    delete(deletion_targets.pod(Account(lasts=10**6), "p1"), timing)
    assert slept[:4] == [1.0, 1.5, 2.25, 3.375]
    assert max(slept) == 5.0
    assert len(slept) < 45, "a minute holds 12 looks, where RunPod allows 60 calls"


def test_a_volume_that_a_dying_pod_still_has_is_asked_for_again(timing: DeletionTiming) -> None:
    account = Account(busy=2)
    assert delete(deletion_targets.volume(account, "v1"), timing) == ""
    assert len(account.asked) == 3


@pytest.mark.parametrize("lie", [{"lasts": 10**6}, {"lists_for_ever": True}])
def test_an_accepted_deletion_without_effect_is_detected(timing: DeletionTiming, lie: dict[str, int]) -> None:
    assert "the resource still exists" in delete(deletion_targets.pod(Account(**lie), "p1"), timing)  # type: ignore[arg-type]


def test_a_refusal_of_one_does_not_keep_the_others_alive(timing: DeletionTiming) -> None:
    pod, volume = an_item(a_pod()), an_item(a_volume())
    account = Account(denied="p1")
    assert delete_all(account, [pod, volume], timing) == [pod]
    assert account.asked == ["p1", "v1"]
