"""What every kind has in common that carries the marker in its name and needs no wait until it is ready."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pulumi.runtime.rpc import UNKNOWN

from components.runpod.api.client import Client
from components.runpod.api.collection import Collection
from components.runpod.api.errors import NotFoundError
from components.runpod.marker import Marker, marker_of, parse, split_name
from components.runpod.placement import NOWHERE, Candidate
from components.runpod.plugin import ending
from components.runpod.plugin import twins as twins_of
from components.runpod.plugin.creation import Creation, Shelf
from components.runpod.plugin.ending import Target
from components.runpod.plugin.kind import REQUIRED, Changes, Found, Kind, Operation
from components.runpod.plugin.values import Values, differs


class Named(Protocol):
    """What these things have."""

    @property
    def id(self) -> str:
        """RunPod's id."""

    @property
    def name(self) -> str:
        """The name at RunPod, marker included."""


Live = TypeVar("Live", bound=Any)


class MarkedKind(Kind, Generic[Live]):
    """A kind whose resources are one entry of a collection of the API."""

    what: ClassVar[str]
    id_output: ClassVar[str]
    """Output that repeats the id; unknown until created, unlike the id itself."""
    replacing: ClassVar[frozenset[str]]
    """Inputs whose change needs another resource."""
    ends_twins: ClassVar[bool] = True
    """Whether an update ends what carries the marker of one that the state holds."""
    twins_end: ClassVar[str] = "`pulumi up` ends it"
    """What becomes of such a twin."""
    inert: ClassVar[frozenset[str]] = frozenset()
    """Inputs whose change alone changes nothing at RunPod."""

    @abstractmethod
    def collection(self, client: Client) -> Collection[Live]:
        """Return where they are."""

    @abstractmethod
    def target(self, client: Client, resource_id: str, state: Values) -> Target:
        """Return one of them as something to end."""

    @abstractmethod
    def body(self, inputs: Values, name: str, candidate: Candidate) -> dict[str, Any]:
        """Return the request that makes one."""

    @abstractmethod
    def patch(self, live: Live, inputs: Values, name: str) -> dict[str, Any]:
        """Return the members to change; an empty request means that there is nothing to change in place."""

    @abstractmethod
    def observe(self, live: Live, inputs: Values) -> Values:
        """Return the inputs as they are seen, and the outputs; what cannot be seen is as it was declared."""

    def candidates(self, operation: Operation, inputs: Values) -> list[Candidate]:  # noqa: ARG002 - for kinds with a place
        """Return where to try."""
        return [NOWHERE]

    def matches(self, live: Live, inputs: Values, marker: Marker) -> bool:
        """Say whether what an interrupted run left is what the program asks for now."""
        return not self.diff(self._outputs(live, inputs, marker), inputs)

    def diff(self, state: Values, inputs: Values) -> Changes:
        """Compare what is there with what is wanted."""
        changed = [name for name in self.defaults if differs(state, inputs, name)]
        noted = (twins_of.OUTPUT,) if twins_of.noted(state) else ()
        return Changes(
            (*(name for name in changed if name not in self.replacing), *noted),
            tuple(name for name in changed if name in self.replacing),
        )

    def preview_update(self, state: Values, inputs: Values) -> Values:
        """Return what is known after the update."""
        renamed = {"physicalName": UNKNOWN} if differs(state, inputs, "name") else {}
        return {**state, **inputs, **renamed, twins_of.OUTPUT: []}

    def create(self, operation: Operation, inputs: Values) -> tuple[str, Values]:
        """Make it, or take up what an interrupted run has made."""
        client = operation.client()
        operation.account.mark(client, inputs["guard"], operation.screen.warning)
        creation = Creation(operation, self._shelf(operation, client, inputs), inputs["guard"])
        made, marker = creation.run(partial(self.candidates, operation, inputs))
        return made.id, self._outputs(made, inputs, marker)

    def read(self, operation: Operation, resource_id: str, state: Values, inputs: Values) -> Found | None:
        """Return what is really there."""
        client = operation.client()
        try:
            live = self.collection(client).get(resource_id)
        except NotFoundError:
            operation.account.check(client, parse(str(state.get("marker", ""))), f"{self.what} {resource_id}")
            return None
        marker = _marker(state, live)
        operation.account.saw(marker)
        twins = twins_of.report(
            operation, self.what, resource_id, self._twins(operation, client, live.id, marker), self.twins_end
        )
        observed = self._outputs(live, inputs or self._imported(marker), marker, twins if self.ends_twins else [])
        return Found({name: observed[name] for name in self.defaults if name in observed}, observed)

    def update(self, operation: Operation, resource_id: str, state: Values, inputs: Values) -> Values:
        """Change what differs from what is there."""
        collection = self.collection(operation.client())
        live = collection.get(resource_id)
        marker = _marker(state, live)
        body = self.patch(live, inputs, marker.name(inputs["name"]) if marker else inputs["name"])
        if twins_of.noted(state):
            self._end_twins(operation, live.id, marker)
        return self._outputs(collection.update(resource_id, body) if body else live, inputs, marker)

    def delete(self, operation: Operation, resource_id: str, state: Values) -> None:
        """End it and look until it is gone."""
        ending.end(operation, self.proven(operation, self.target(operation.client(), resource_id, state), state))

    def proven(self, operation: Operation, target: Target, state: Values) -> Target:
        """Return a target whose end is believed in the right account alone."""
        marker, what = parse(str(state.get("marker", ""))), f"{target.what} {target.id}"
        return replace(target, prove=lambda: operation.account.check(operation.client(), marker, what))

    def _twins(self, operation: Operation, client: Client, own_id: str, marker: Marker | None) -> list[Live]:
        things = self.collection(client).all() if marker else []
        return twins_of.find(operation, own_id, marker, things, lambda thing: marker_of(thing.name))

    def _end_twins(self, operation: Operation, own_id: str, marker: Marker | None) -> None:
        client = operation.client()
        for twin in self._twins(operation, client, own_id, marker) if self.ends_twins else ():
            operation.screen.warning(f"{self.what} {twin.id} is a twin of {own_id}: ending it")
            ending.end(operation, self.target(client, twin.id, {}))

    def _shelf(self, operation: Operation, client: Client, inputs: Values) -> Shelf[Live]:
        def matches(live: Live) -> bool:
            marker = marker_of(live.name)
            return marker is not None and self.matches(live, inputs, marker)

        def post(marker: Marker, candidate: Candidate) -> Live:
            return self.collection(client).create(self.body(inputs, marker.name(inputs["name"]), candidate))

        return Shelf(
            what=self.what,
            list=self.collection(client).all,
            marker=lambda live: marker_of(live.name),
            matches=matches,
            post=post,
            end=lambda live: ending.end(operation, self.target(client, live.id, {})),
        )

    def shown(self, live: Live) -> Live:
        """Return it as the state holds it."""
        return live

    def _outputs(self, live: Live, inputs: Values, marker: Marker | None, twins: Sequence[str] = ()) -> Values:
        live = self.shown(live)
        base, carried = split_name(live.name)
        return {
            **inputs,
            **self.observe(live, inputs),
            "name": base if carried == marker else live.name,
            self.id_output: live.id,
            "physicalName": live.name,
            "marker": str(marker or ""),
            twins_of.OUTPUT: list(twins),
        }

    def _imported(self, marker: Marker | None) -> Values:
        known = {name: value for name, value in self.defaults.items() if value is not REQUIRED}
        return {**known, "guard": marker.instance if marker else ""}


def changed_members(live: object, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the members of `wanted` that are another in `live`, which has attributes of the same names."""
    return {member: value for member, value in wanted.items() if value != getattr(live, member)}


def _marker(state: Values, live: Named) -> Marker | None:
    """Return the marker it should carry; what it carries can have been changed by others."""
    return parse(str(state.get("marker", ""))) or marker_of(live.name)
