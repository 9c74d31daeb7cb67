"""The AccountSshKey resource."""

from __future__ import annotations

from components.runpod import account_keys
from components.runpod.api.errors import NotFoundError
from components.runpod.marker import Marker, new_marker, parse, split_name
from components.runpod.plugin.base import validation
from components.runpod.plugin.base.property_codec import Values, differs
from components.runpod.plugin.base.resource import (
    REQUIRED,
    Changes,
    Failure,
    ProviderOperation,
    ReadResult,
    ResourceHandler,
)


class AccountSshKeyHandler(ResourceHandler):
    """One entry of the account's SSH keys; the marker is in its comment, which is also its id."""

    token = "runpod:index:AccountSshKey"  # noqa: S105 - a resource type
    defaults = {"name": REQUIRED, "publicKey": REQUIRED, "guard": REQUIRED}  # noqa: RUF012 - never changed
    outputs = ("keyId", "marker")

    def validate(self, operation: ProviderOperation, olds: Values, inputs: Values) -> tuple[Values, list[Failure]]:  # noqa: ARG002
        """Check the inputs; the marker replaces the key's own comment."""
        rules = {"name": validation.name, "guard": validation.text, "publicKey": validation.public_key}
        wrong = validation.apply(rules, inputs)
        return (inputs if wrong else {**inputs, "publicKey": _bare(inputs["publicKey"])}), wrong

    def diff(self, state: Values, inputs: Values) -> Changes:
        """Compare; a changed key replaces the current one in the same entry."""
        replaces = tuple(name for name in ("name", "guard") if differs(state, inputs, name))
        return Changes(("publicKey",) if differs(state, inputs, "publicKey") else (), replaces)

    def create(self, operation: ProviderOperation, inputs: Values) -> tuple[str, Values]:
        """Add the entry; it replaces a leftover of an interrupted run."""
        operation.account.ensure_marker(operation.client(), inputs["guard"], operation.reporter.warning)
        marker = new_marker(inputs["guard"], operation.urn)
        key_id = marker.name(inputs["name"])
        account_keys.upsert(operation.client(), f"{inputs['publicKey']} {key_id}", operation.sleep)
        return key_id, _outputs(inputs, key_id, marker)

    def read(self, operation: ProviderOperation, resource_id: str, state: Values, inputs: Values) -> ReadResult | None:
        """Return the actual entry."""
        try:
            line = account_keys.find(operation.client(), resource_id)
        except NotFoundError:
            marker = parse(str(state.get("marker", "")))
            operation.account.check(operation.client(), marker, f"SSH key {resource_id}")
            return None
        base, marker = split_name(resource_id)
        known = inputs or {"guard": marker.instance if marker else ""}
        seen = {**known, "name": base, "publicKey": _bare(line)}
        return ReadResult(seen, _outputs(seen, resource_id, marker))

    def update(self, operation: ProviderOperation, resource_id: str, state: Values, inputs: Values) -> Values:  # noqa: ARG002
        """Replace the key in the entry."""
        account_keys.upsert(operation.client(), f"{inputs['publicKey']} {resource_id}", operation.sleep)
        return _outputs(inputs, resource_id, split_name(resource_id)[1])

    def delete(self, operation: ProviderOperation, resource_id: str, state: Values) -> None:  # noqa: ARG002
        """Remove the entry, and verify that it stays removed."""
        account_keys.remove(operation.client(), resource_id, operation.sleep)


def _bare(line: str) -> str:
    return " ".join(line.split()[:2])


def _outputs(inputs: Values, key_id: str, marker: Marker | None) -> Values:
    return {**inputs, "keyId": key_id, "marker": str(marker or "")}
