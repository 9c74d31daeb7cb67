"""Base class of resources with the marker in their name that are ready immediately."""

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
from components.runpod.placement import NO_PLACEMENT, Candidate
from components.runpod.plugin.base.property_codec import Values, differs
from components.runpod.plugin.base.resource import REQUIRED, Changes, ProviderOperation, ReadResult, ResourceHandler
from components.runpod.plugin.lifecycle import deletion
from components.runpod.plugin.lifecycle import duplicates as duplicate_report
from components.runpod.plugin.lifecycle.creation import Creation, ResourceOps
from components.runpod.plugin.lifecycle.deletion_targets import Target


class HasName(Protocol):
    """A resource with an id and a name."""

    @property
    def id(self) -> str:
        """RunPod's id."""

    @property
    def name(self) -> str:
        """The name at RunPod, marker included."""


Live = TypeVar("Live", bound=Any)


class NamedResourceHandler(ResourceHandler, Generic[Live]):
    """Handler of resources in one collection of the API."""

    what: ClassVar[str]
    id_output: ClassVar[str]
    """Output with the id; unlike the id itself, it is unknown before the creation."""
    replacing: ClassVar[frozenset[str]]
    """Inputs whose change replaces the resource."""
    ends_duplicates: ClassVar[bool] = True
    """Whether an update deletes duplicates."""
    duplicates_end: ClassVar[str] = "`pulumi up` deletes it"
    """How a duplicate is handled, for messages."""
    inert: ClassVar[frozenset[str]] = frozenset()
    """Inputs whose change does not affect RunPod."""

    @abstractmethod
    def collection(self, client: Client) -> Collection[Live]:
        """Return the API collection."""

    @abstractmethod
    def target(self, client: Client, resource_id: str, state: Values) -> Target:
        """Return a resource as a deletion target."""

    @abstractmethod
    def body(self, inputs: Values, name: str, candidate: Candidate) -> dict[str, Any]:
        """Return the request that creates one."""

    @abstractmethod
    def patch(self, live: Live, inputs: Values, name: str) -> dict[str, Any]:
        """Return the members to change; empty when there is nothing to change in place."""

    @abstractmethod
    def observe(self, live: Live, inputs: Values) -> Values:
        """Return the observed inputs and the outputs; inputs that cannot be observed are returned as declared."""

    def candidates(self, operation: ProviderOperation, inputs: Values) -> list[Candidate]:  # noqa: ARG002 - for kinds with a place
        """Return the candidates for a placement."""
        return [NO_PLACEMENT]

    def matches(self, live: Live, inputs: Values, marker: Marker) -> bool:
        """Return whether a leftover of an interrupted run matches the inputs."""
        return not self.diff(self._outputs(live, inputs, marker), inputs)

    def diff(self, state: Values, inputs: Values) -> Changes:
        """Compare the state with the inputs."""
        changed = [name for name in self.defaults if differs(state, inputs, name)]
        noted = (duplicate_report.OUTPUT,) if duplicate_report.noted(state) else ()
        return Changes(
            (*(name for name in changed if name not in self.replacing), *noted),
            tuple(name for name in changed if name in self.replacing),
        )

    def preview_update(self, state: Values, inputs: Values) -> Values:
        """Return the outputs that are known before the update."""
        renamed = {"physicalName": UNKNOWN} if differs(state, inputs, "name") else {}
        return {**state, **inputs, **renamed, duplicate_report.OUTPUT: []}

    def create(self, operation: ProviderOperation, inputs: Values) -> tuple[str, Values]:
        """Create the resource, or adopt a leftover of an interrupted run."""
        client = operation.client()
        operation.account.ensure_marker(client, inputs["guard"], operation.reporter.warning)
        creation = Creation(operation, self._ops(operation, client, inputs), inputs["guard"])
        made, marker = creation.run(partial(self.candidates, operation, inputs))
        return made.id, self._outputs(made, inputs, marker)

    def read(self, operation: ProviderOperation, resource_id: str, state: Values, inputs: Values) -> ReadResult | None:
        """Return the actual resource."""
        client = operation.client()
        try:
            live = self.collection(client).get(resource_id)
        except NotFoundError:
            operation.account.check(client, parse(str(state.get("marker", ""))), f"{self.what} {resource_id}")
            return None
        marker = _marker(state, live)
        operation.account.saw(marker)
        duplicate_ids = duplicate_report.report(
            operation, self.what, resource_id, self._duplicates(operation, client, live.id, marker), self.duplicates_end
        )
        observed = self._outputs(
            live, inputs or self._imported(marker), marker, duplicate_ids if self.ends_duplicates else []
        )
        return ReadResult({name: observed[name] for name in self.defaults if name in observed}, observed)

    def update(self, operation: ProviderOperation, resource_id: str, state: Values, inputs: Values) -> Values:
        """Update the differences."""
        collection = self.collection(operation.client())
        live = collection.get(resource_id)
        marker = _marker(state, live)
        body = self.patch(live, inputs, marker.name(inputs["name"]) if marker else inputs["name"])
        if duplicate_report.noted(state):
            self._handle_duplicates(operation, live.id, marker)
        return self._outputs(collection.update(resource_id, body) if body else live, inputs, marker)

    def delete(self, operation: ProviderOperation, resource_id: str, state: Values) -> None:
        """Delete it and wait until it is deleted."""
        deletion.delete(operation, self.proven(operation, self.target(operation.client(), resource_id, state), state))

    def proven(self, operation: ProviderOperation, target: Target, state: Values) -> Target:
        """Return a target whose deletion counts only in the right account."""
        marker, what = parse(str(state.get("marker", ""))), f"{target.what} {target.id}"
        return replace(target, prove=lambda: operation.account.check(operation.client(), marker, what))

    def _duplicates(
        self, operation: ProviderOperation, client: Client, own_id: str, marker: Marker | None
    ) -> list[Live]:
        things = self.collection(client).all() if marker else []
        return duplicate_report.find(operation, own_id, marker, things, lambda thing: marker_of(thing.name))

    def _handle_duplicates(self, operation: ProviderOperation, own_id: str, marker: Marker | None) -> None:
        client = operation.client()
        for duplicate in self._duplicates(operation, client, own_id, marker) if self.ends_duplicates else ():
            operation.reporter.warning(f"{self.what} {duplicate.id} is a duplicate of {own_id}; deleting it")
            deletion.delete(operation, self.target(client, duplicate.id, {}))

    def _ops(self, operation: ProviderOperation, client: Client, inputs: Values) -> ResourceOps[Live]:
        def matches(live: Live) -> bool:
            marker = marker_of(live.name)
            return marker is not None and self.matches(live, inputs, marker)

        def post(marker: Marker, candidate: Candidate) -> Live:
            return self.collection(client).create(self.body(inputs, marker.name(inputs["name"]), candidate))

        return ResourceOps(
            what=self.what,
            list=self.collection(client).all,
            marker=lambda live: marker_of(live.name),
            matches=matches,
            post=post,
            end=lambda live: deletion.delete(operation, self.target(client, live.id, {})),
        )

    def shown(self, live: Live) -> Live:
        """Return it in the form of the state."""
        return live

    def _outputs(self, live: Live, inputs: Values, marker: Marker | None, duplicate_ids: Sequence[str] = ()) -> Values:
        live = self.shown(live)
        base, carried = split_name(live.name)
        return {
            **inputs,
            **self.observe(live, inputs),
            "name": base if carried == marker else live.name,
            self.id_output: live.id,
            "physicalName": live.name,
            "marker": str(marker or ""),
            duplicate_report.OUTPUT: list(duplicate_ids),
        }

    def _imported(self, marker: Marker | None) -> Values:
        known = {name: value for name, value in self.defaults.items() if value is not REQUIRED}
        return {**known, "guard": marker.instance if marker else ""}


def changed_members(live: object, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the members of `wanted` that differ from the attributes of the same names in `live`."""
    return {member: value for member, value in wanted.items() if value != getattr(live, member)}


def _marker(state: Values, live: HasName) -> Marker | None:
    """Return the marker it should have; others can have changed its actual marker."""
    return parse(str(state.get("marker", ""))) or marker_of(live.name)
