"""The Template resource."""

from __future__ import annotations

from typing import Any

from components.runpod.api.client import Client
from components.runpod.api.collection import Collection
from components.runpod.api.models_serverless import Template
from components.runpod.placement import Candidate
from components.runpod.plugin.base import validation
from components.runpod.plugin.base.property_codec import Values, unknown
from components.runpod.plugin.base.resource import REQUIRED, Changes, Failure, ProviderOperation
from components.runpod.plugin.lifecycle import deletion_targets
from components.runpod.plugin.resources.named_resource import NamedResourceHandler, changed_members
from components.runpod.plugin.serverless import container


class TemplateHandler(NamedResourceHandler[Template]):
    """A preset of container settings."""

    token = "runpod:index:Template"  # noqa: S105 - a resource type
    what = "template"
    id_output = "templateId"
    defaults = {  # noqa: RUF012 - never changed
        "name": REQUIRED,
        "imageName": REQUIRED,
        "guard": REQUIRED,
        **container.DEFAULTS,
        "containerDiskInGb": 30,
        "volumeInGb": 0,
        "volumeMountPath": "/workspace",
        "startSsh": False,
        "startJupyter": False,
        "isServerless": False,
        "isPublic": False,
        "category": "NVIDIA",
        "allowedCudaVersions": [],
    }
    outputs = ("templateId", "physicalName", "marker", "duplicates")
    secrets = frozenset({"env"})
    replacing = frozenset({"guard"})

    def validate(self, operation: ProviderOperation, olds: Values, inputs: Values) -> tuple[Values, list[Failure]]:  # noqa: ARG002
        """Check the inputs."""
        wrong = validation.apply(_RULES, inputs)
        if not wrong and inputs["isPublic"] is True and inputs["env"]:
            wrong.append(("isPublic", "isPublic: a public template must not have env, because everyone could read it"))
        return (inputs if wrong else container.canonical(inputs)), wrong

    def diff(self, state: Values, inputs: Values) -> Changes:
        """Compare; a volume disk can be added and changed, but its removal replaces the template."""
        changes = super().diff(state, inputs)
        if "volumeInGb" in changes.updates and inputs["volumeInGb"] == 0:
            updates = tuple(name for name in changes.updates if name != "volumeInGb")
            return Changes(updates, (*changes.replaces, "volumeInGb"))
        return changes

    def collection(self, client: Client) -> Collection[Template]:
        """Return the account's templates."""
        return client.templates

    def target(self, client: Client, resource_id: str, state: Values) -> deletion_targets.Target:  # noqa: ARG002
        """Return a template as a deletion target."""
        return deletion_targets.template(client, resource_id)

    def body(self, inputs: Values, name: str, candidate: Candidate) -> dict[str, Any]:  # noqa: ARG002
        """Return the request that creates the template."""
        return {**container.body(inputs), **_flags(inputs), **_mounts(inputs), "name": name}

    def patch(self, live: Template, inputs: Values, name: str) -> dict[str, Any]:
        """Return the members that differ."""
        flags = {member: value for member, value in _flags(inputs).items() if value != _seen_flags(live)[member]}
        wanted = _mounts(inputs)
        mounts = wanted if wanted and wanted != _seen_mounts(live) else {}
        return {**container.patch(live, inputs), **flags, **mounts, **changed_members(live, {"name": name})}

    def observe(self, live: Template, inputs: Values) -> Values:
        """Return the observed properties of a template."""
        disk = live.mounts.persistent
        return {
            **container.observe(live, inputs),
            "volumeInGb": disk.size if disk else 0,
            "volumeMountPath": disk.path if disk else inputs.get("volumeMountPath", "/workspace"),
            "startSsh": live.start_ssh,
            "startJupyter": live.start_jupyter,
            "isServerless": live.serverless,
            "isPublic": live.public,
            "category": live.category,
            "allowedCudaVersions": _same_set(inputs.get("allowedCudaVersions"), live.allowed_cuda),
        }


_RULES: dict[str, validation.Rule] = {
    **container.RULES,
    "name": validation.name,
    "imageName": validation.text,
    "guard": validation.text,
    "volumeInGb": lambda value: "" if value == 0 else validation.integer(10, 10_000, "GB, or 0 for none")(value),
    "volumeMountPath": validation.text,
    "startSsh": validation.flag,
    "startJupyter": validation.flag,
    "isServerless": validation.flag,
    "isPublic": validation.flag,
    "category": validation.one_of("NVIDIA", "AMD", "CPU"),
    "allowedCudaVersions": validation.cuda_versions,
}


def _flags(inputs: Values) -> dict[str, Any]:
    return {
        "startSsh": inputs["startSsh"],
        "startJupyter": inputs["startJupyter"],
        "serverless": inputs["isServerless"],
        "public": inputs["isPublic"],
        "category": inputs["category"],
        "allowedCudaVersions": sorted(inputs["allowedCudaVersions"]),
    }


def _seen_flags(live: Template) -> dict[str, Any]:
    return {
        "startSsh": live.start_ssh,
        "startJupyter": live.start_jupyter,
        "serverless": live.serverless,
        "public": live.public,
        "category": live.category,
        "allowedCudaVersions": sorted(live.allowed_cuda),
    }


def _mounts(inputs: Values) -> dict[str, Any]:
    if not inputs["volumeInGb"]:
        return {}
    return {"mounts": {"persistent": {"size": inputs["volumeInGb"], "path": inputs["volumeMountPath"]}}}


def _seen_mounts(live: Template) -> dict[str, Any]:
    disk = live.mounts.persistent
    return {"mounts": {"persistent": {"size": disk.size, "path": disk.path}}} if disk else {}


def _same_set(declared: Any, seen: tuple[str, ...]) -> Any:  # noqa: ANN401 - a list, or not known yet
    """Return the declared list if it has the observed entries in any order."""
    same = isinstance(declared, list) and not unknown(declared) and sorted(declared) == sorted(seen)
    return declared if same else list(seen)
