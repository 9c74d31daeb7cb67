"""Creation without duplicates: at most one resource per declared one, despite crashes and lost answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from components.runpod.api.errors import CallError, LostAnswerError
from components.runpod.intents import Intent
from components.runpod.marker import Marker, new_marker
from components.runpod.placement import NO_PLACEMENT, Candidate, NoCandidateLeftError, first_accepted
from components.runpod.plugin.base.resource import ProviderOperation

_LOOK_EVERY = 2.0
POSTS = 3
"""Attempts for one candidate when answers are lost; each is followed by a search for its effect."""


_LONGEST_RUN = 2 * 3600.0
"""Seconds after which an unfinished creation in the state can no longer take effect."""


def is_recent(operation: ProviderOperation, urn: str = "") -> bool:
    """Return whether the state contains an unfinished creation that may have taken effect or still may."""
    since = operation.pending.get(urn or operation.urn)
    return since is not None and (since == 0 or operation.wall() - since < _LONGEST_RUN)


class HasId(Protocol):
    """A resource with an id."""

    @property
    def id(self) -> str:
        """RunPod's id."""


Made = TypeVar("Made", bound=HasId)


@dataclass(frozen=True)
class ResourceOps(Generic[Made]):
    """Operations on resources of one kind: find, create and delete."""

    what: str
    list: Callable[[], list[Made]]
    marker: Callable[[Made], Marker | None]
    matches: Callable[[Made], bool]
    """Returns whether an existing resource matches the current inputs."""
    post: Callable[[Marker, Candidate], Made]
    end: Callable[[Made], None]


class Creation(Generic[Made]):
    """One create request of the engine."""

    def __init__(self, operation: ProviderOperation, ops: ResourceOps[Made], guard: str) -> None:
        self._operation = operation
        self._ops = ops
        self._guard = guard
        self.lost_any = False
        """Whether an answer was lost, so that an unknown resource may exist."""
        self._uncertain = False
        """Whether a POST's answer was lost and the search for its effect is not complete."""

    def run(self, candidates: Callable[[], list[Candidate]]) -> tuple[Made, Marker]:
        """Return the resource and its marker: a leftover of an interrupted run, or a new one."""
        adopted = self._adopt()
        if adopted is not None:
            return adopted
        open_intents = self._open_intents()
        marker = open_intents[-1].parsed if open_intents else new_marker(self._guard, self._operation.urn)
        return self._place(marker, candidates()), marker

    def _adopt(self) -> tuple[Made, Marker] | None:
        """Adopt a leftover of an earlier run that the state does not contain; delete one that no longer matches."""
        intents = self._open_intents()
        for intent in intents:
            self._await_late_effect(intent)
        if not intents and is_recent(self._operation):
            self._await_unrecorded()
        adopted: tuple[Made, Marker] | None = None
        for found, marker in self._unclaimed():
            if adopted is None and self._ops.matches(found):
                self._keep(found, marker)
                adopted = found, marker
            else:
                self._end_or_report(found, marker)
        return adopted

    def _unclaimed(self) -> list[tuple[Made, Marker]]:
        """Return the resources with this marker that are not in the state."""
        records = self._operation.intents.of(self._guard, self._operation.urn)
        wanted = new_marker(self._guard, self._operation.urn)
        claimed = self._operation.ids_in_state | {record.resource_id for record in records if self._is_claimed(record)}
        found = [(thing, self._ops.marker(thing)) for thing in self._ops.list() if thing.id not in claimed]
        ours = [(thing, marker) for thing, marker in found if marker and wanted.same_resource(marker)]
        recorded = {record.marker for record in records}
        if self._operation.ids_in_state and not self._knows_leftovers():
            # Of two resources with this marker and without a record, one may be in the state, pending deletion.
            for thing, _ in (pair for pair in ours if str(pair[1]) not in recorded):
                self._report(thing)
            return [pair for pair in ours if str(pair[1]) in recorded]
        return ours

    def _knows_leftovers(self) -> bool:
        """Return whether a resource with this marker and without a record certainly comes from a killed run."""
        return self._operation.state_was_read or is_recent(self._operation)

    def _await_unrecorded(self) -> None:
        """Wait for the effect of another machine's killed run, which the state contains and no local record."""
        started, bound = self._operation.clock(), self._operation.settings.late_effect_seconds
        while not self._unclaimed():
            left = bound - (self._operation.clock() - started)
            if left <= 0:
                return
            self._operation.reporter.status(
                f"a creation of {self._ops.what} interrupted on another machine may appear for another {left:.0f} s"
            )
            self._operation.sleep(min(_LOOK_EVERY, left))

    def _keep(self, found: Made, marker: Marker) -> None:
        self._operation.intents.placed(self._operation.intents.post(marker, self._operation.urn), found.id)
        self._operation.reporter.info(f"adopting {self._ops.what} {found.id}, which an interrupted run left")

    def _end_or_report(self, found: Made, marker: Marker) -> None:
        recorded = {intent.marker for intent in self._open_intents()}
        if str(marker) not in recorded and not self._knows_leftovers():
            self._report(found)
            return
        self._operation.reporter.info(f"deleting {self._ops.what} {found.id}, which an interrupted run left")
        self._ops.end(found)
        self._operation.intents.forget(found.id)

    def _report(self, found: Made) -> None:
        self._operation.reporter.warning(
            f"{self._ops.what} {found.id} has this resource's marker and no record of its creation exists; "
            f"it is billed: check it with `make doctor`, or delete it at RunPod if it is a leftover"
        )

    def _open_intents(self) -> list[Intent]:
        records = self._operation.intents.of(self._guard, self._operation.urn)
        return sorted((one for one in records if not self._is_claimed(one)), key=lambda record: record.posted_at)

    def _is_claimed(self, record: Intent) -> bool:
        """Return whether the state contains the resource of a record, by the state itself when it was read."""
        if self._operation.state_was_read:
            return record.resource_id in self._operation.ids_in_state
        return record.in_state or record.resource_id in self._operation.ids_in_state

    def _place(self, marker: Marker, candidates: list[Candidate]) -> Made:
        try:
            if candidates == [NO_PLACEMENT]:
                return self._attempt(marker, NO_PLACEMENT)
            return first_accepted(self._ops.what, candidates, lambda candidate: self._attempt(marker, candidate))
        except (NoCandidateLeftError, CallError):
            if not self._uncertain:  # Otherwise the record stays, and the next run searches for a late effect.
                self._operation.intents.drop_marker(marker)
            raise

    def _attempt(self, marker: Marker, candidate: Candidate) -> Made:
        """Request one candidate; after a lost answer search for its effect before a retry."""
        place = "" if candidate == NO_PLACEMENT else f": {candidate}"
        self._operation.reporter.status(f"requesting {self._ops.what}{place}")
        for attempt in range(POSTS):
            intent = self._operation.intents.post(marker, self._operation.urn)
            try:
                made = self._ops.post(marker, candidate)
            except LostAnswerError as lost:
                self.lost_any = self._uncertain = True
                self._operation.reporter.info(f"{lost} Checking whether it took effect")
                late = self._await_late_effect(intent)
                if late is None and attempt + 1 == POSTS:
                    raise
                if late is None:
                    self._uncertain = False
                    continue
                made = late
            self._operation.intents.placed(intent, made.id)
            return made
        raise AssertionError("a bound of at least one attempt")

    def _await_late_effect(self, intent: Intent) -> Made | None:
        """Search for the effect of a POST until it can no longer occur."""
        bound = self._operation.settings.late_effect_seconds
        while True:
            for thing in self._ops.list():
                if self._ops.marker(thing) == intent.parsed:
                    return thing
            left = bound - self._operation.intents.age(intent)
            if left <= 0:
                return None
            self._operation.reporter.status(
                f"a creation of {self._ops.what} without an answer may appear for another {left:.0f} s"
            )
            self._operation.sleep(min(_LOOK_EVERY, left))
