"""The ContainerRegistryAuth resource."""

from __future__ import annotations

from typing import Any

from components.runpod.api.client import Client
from components.runpod.api.collection import Collection
from components.runpod.api.models_serverless import RegistryCredential
from components.runpod.marker import Marker
from components.runpod.placement import Candidate
from components.runpod.plugin.base import validation
from components.runpod.plugin.base.property_codec import Values
from components.runpod.plugin.base.resource import REQUIRED, Failure, ProviderOperation
from components.runpod.plugin.lifecycle import deletion_targets
from components.runpod.plugin.resources.named_resource import NamedResourceHandler


class RegistryAuthHandler(NamedResourceHandler[RegistryCredential]):
    """Credentials of a private container registry; API v2 can only store and delete them."""

    token = "runpod:index:ContainerRegistryAuth"  # noqa: S105 - a resource type
    what = "registry credentials"
    id_output = "registryAuthId"
    defaults = {  # noqa: RUF012 - never changed
        "name": REQUIRED,
        "username": REQUIRED,
        "password": REQUIRED,
        "guard": REQUIRED,
    }
    outputs = ("registryAuthId", "physicalName", "marker", "duplicates")
    secrets = frozenset({"username", "password"})
    replacing = frozenset({"name", "username", "password", "guard"})

    def validate(self, operation: ProviderOperation, olds: Values, inputs: Values) -> tuple[Values, list[Failure]]:  # noqa: ARG002
        """Check the inputs; messages do not contain the secrets."""
        wrong = validation.apply({"name": validation.name, "guard": validation.text}, inputs)
        empty = [name for name in ("username", "password") if not isinstance(inputs[name], str) or not inputs[name]]
        return inputs, [*wrong, *((name, f"{name}: a non-empty text is required") for name in empty)]

    def collection(self, client: Client) -> Collection[RegistryCredential]:
        """Return the account's credentials."""
        return client.registries

    def target(self, client: Client, resource_id: str, state: Values) -> deletion_targets.Target:  # noqa: ARG002
        """Return credentials as a deletion target."""
        return deletion_targets.registry(client, resource_id)

    def body(self, inputs: Values, name: str, candidate: Candidate) -> dict[str, Any]:  # noqa: ARG002
        """Return the request that stores them."""
        return {"name": name, "username": inputs["username"], "password": inputs["password"]}

    def patch(self, live: RegistryCredential, inputs: Values, name: str) -> dict[str, Any]:  # noqa: ARG002
        """Return nothing: every change replaces the credentials."""
        return {}

    def observe(self, live: RegistryCredential, inputs: Values) -> Values:  # noqa: ARG002
        """Return nothing: RunPod never shows user and password."""
        return {}

    def matches(self, live: RegistryCredential, inputs: Values, marker: Marker) -> bool:  # noqa: ARG002
        """Return False: a stored password cannot be read, so leftovers are replaced."""
        return False
