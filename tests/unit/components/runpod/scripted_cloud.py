"""RunPod played by a list of things whose answers can be lost or late."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from components.runpod.api.errors import BadRequestError, LostAnswerError
from components.runpod.marker import Marker
from components.runpod.placement import Candidate
from components.runpod.plugin.base.resource import ProviderOperation
from components.runpod.plugin.lifecycle.creation import Creation, ResourceOps

GUARD = "0123456789"
CANDIDATES = [Candidate("a", ""), Candidate("b", "")]


@dataclass(frozen=True)
class Thing:
    id: str
    marker: Marker
    gpu: str = "a"


@dataclass
class Cloud:
    """What exists, and what happens to the next POSTs."""

    things: list[Thing] = field(default_factory=list)
    faults: list[Callable[[Thing], None]] = field(default_factory=list)
    posts: int = 0
    wanted: str = ""

    def post(self, marker: Marker, candidate: Candidate) -> Thing:
        self.posts += 1
        thing = Thing(f"t{self.posts}", marker, candidate.compute)
        if self.faults:
            self.faults.pop(0)(thing)
        self.things.append(thing)
        return thing

    def ops(self) -> ResourceOps[Thing]:
        return ResourceOps(
            what="thing",
            list=lambda: list(self.things),
            marker=lambda thing: thing.marker,
            matches=lambda thing: not self.wanted or thing.gpu == self.wanted,
            post=self.post,
            end=self.things.remove,
        )

    def lose_after_effect(self, thing: Thing) -> None:
        self.things.append(thing)
        raise LostAnswerError("POST", "reset")

    def lose_before_effect(self, thing: Thing) -> None:
        raise LostAnswerError("POST", f"reset before {thing.id}")

    def refuse(self, thing: Thing) -> None:
        raise BadRequestError("POST", f"no {thing.gpu}")


def create(operation: ProviderOperation, cloud: Cloud) -> Thing:
    return Creation(operation, cloud.ops(), GUARD).run(lambda: CANDIDATES)[0]
