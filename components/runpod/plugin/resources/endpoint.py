"""The Endpoint resource."""

from __future__ import annotations

from typing import Any

from components.runpod.api.client import Client
from components.runpod.api.collection import Collection
from components.runpod.api.models_serverless import Endpoint
from components.runpod.placement import Candidate
from components.runpod.plugin.base import validation
from components.runpod.plugin.base.property_codec import Values
from components.runpod.plugin.base.resource import REQUIRED, Changes, Failure, ProviderOperation
from components.runpod.plugin.lifecycle import deletion_targets
from components.runpod.plugin.resources.named_resource import NamedResourceHandler, changed_members
from components.runpod.plugin.serverless import container, endpoint_spec
from components.runpod.plugin.volumes import unused_tag


class EndpointHandler(NamedResourceHandler[Endpoint]):
    """A serverless endpoint, whose workers scale with the requests."""

    token = "runpod:index:Endpoint"  # noqa: S105 - a resource type
    what = "serverless endpoint"
    id_output = "endpointId"
    defaults = {  # noqa: RUF012 - never changed
        "name": REQUIRED,
        "guard": REQUIRED,
        "imageName": "",
        "templateId": "",
        **container.DEFAULTS,
        "type": "QUEUE",
        "computeType": "GPU",
        "gpuIds": "",
        "excludedGpuTypeIds": [],
        "gpuCount": 1,
        "allowedCudaVersions": "",
        "minCudaVersion": "",
        "cpuFlavorIdList": [],
        "vcpuCount": 2,
        "workersMin": 0,
        "workersMax": 3,
        "idleTimeout": 10,
        "scalerType": "QUEUE_DELAY",
        "scalerValue": 4,
        "executionTimeoutMs": 300_000,
        "flashBootType": "OFF",
        "locations": "",
        "networkVolumeId": "",
        "drainTimeoutSeconds": 300,
    }
    outputs = ("endpointId", "urls", "physicalName", "marker", "duplicates")
    secrets = frozenset({"env"})
    replacing = frozenset({"guard", "type", "computeType"})

    def validate(self, operation: ProviderOperation, olds: Values, inputs: Values) -> tuple[Values, list[Failure]]:  # noqa: ARG002
        """Check the inputs, one by one and then together."""
        wrong = validation.apply(endpoint_spec.RULES, inputs) or endpoint_spec.contradictions(inputs)
        return (inputs if wrong else endpoint_spec.canonical(inputs)), wrong

    def diff(self, state: Values, inputs: Values) -> Changes:
        """Compare; settings from a template and settings that do not apply are not drift."""
        changes, silent = super().diff(state, inputs), endpoint_spec.silent(inputs)
        return Changes(tuple(name for name in changes.updates if name not in silent), changes.replaces)

    def collection(self, client: Client) -> Collection[Endpoint]:
        """Return the account's endpoints."""
        return client.endpoints

    def target(self, client: Client, resource_id: str, state: Values) -> deletion_targets.Target:
        """Return an endpoint as a deletion target; its workers stop first."""
        return deletion_targets.endpoint(
            client, resource_id, float(state.get("drainTimeoutSeconds", deletion_targets.DRAIN_SECONDS))
        )

    def body(self, inputs: Values, name: str, candidate: Candidate) -> dict[str, Any]:  # noqa: ARG002
        """Return the request that creates the endpoint."""
        settings = container.body(inputs)
        if inputs["templateId"]:
            settings = {**endpoint_spec.own_settings(inputs, settings), "templateId": inputs["templateId"]}
        places = {"type": inputs["type"], **endpoint_spec.compute(inputs)}
        return {**settings, **places, **endpoint_spec.members(inputs), "name": name}

    def patch(self, live: Endpoint, inputs: Values, name: str) -> dict[str, Any]:
        """Return the members that differ."""
        settings = container.patch(live, inputs)
        if inputs["templateId"]:
            settings = endpoint_spec.own_settings(inputs, settings)
        members = endpoint_spec.changed(live, inputs)
        return {**settings, **members, **changed_members(live, {"name": name})}

    def observe(self, live: Endpoint, inputs: Values) -> Values:
        """Return the observed properties of an endpoint."""
        return {
            **container.observe(live, inputs),
            **endpoint_spec.observe(live, inputs),
            "type": live.type,
            "urls": live.urls,
        }

    def create(self, operation: ProviderOperation, inputs: Values) -> tuple[str, Values]:
        """Create the endpoint; its workers may write to the volume from then on."""
        if inputs["networkVolumeId"]:
            unused_tag.mark_used(operation.client(), inputs["networkVolumeId"])
        return super().create(operation, inputs)

    def update(self, operation: ProviderOperation, resource_id: str, state: Values, inputs: Values) -> Values:
        """Update the differences; a new template is applied once, and the program's own settings override it."""
        if inputs["templateId"] and state.get("templateId") != inputs["templateId"]:
            settings = endpoint_spec.own_settings(inputs, container.body(inputs))
            body = {**settings, "templateId": inputs["templateId"]}
            self.collection(operation.client()).update(resource_id, body)
        return super().update(operation, resource_id, state, inputs)
