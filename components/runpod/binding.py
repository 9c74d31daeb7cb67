"""Base class of the bindings, which passes inputs to the engine and reads outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi


class Resource(pulumi.CustomResource):
    """A resource of the provider; property names on the wire are camelCase."""

    token: str
    outputs: tuple[str, ...] = ()
    """Properties that only the provider sets."""

    def __init__(self, resource_name: str, inputs: Mapping[str, Any], opts: pulumi.ResourceOptions | None) -> None:
        properties = {camel(name): value for name, value in inputs.items()} | dict.fromkeys(self.outputs)
        super().__init__(self.token, resource_name, properties, opts)

    def output(self, name: str) -> pulumi.Output[Any]:
        """Return the output of that name."""
        value: pulumi.Output[Any] = pulumi.get(self, name)
        return value

    def acknowledge(self, resource_id: pulumi.Output[str]) -> None:
        """Notify the provider that the engine has saved this resource.

        An output is known to the program only after the state was written, so the provider can then close the intent
        that it recorded before the creation.
        """
        pulumi.runtime.invoke_output("runpod:index:acknowledge", {"resourceId": resource_id})


def camel(name: str) -> str:
    """Return a Python name in camelCase; `name_` stands for `name`, which Pulumi reserves."""
    head, *tail = name.rstrip("_").split("_")
    return head + "".join(part.capitalize() for part in tail)


def declared(inputs: Mapping[str, Any], form: type) -> dict[str, Any]:
    """Return `inputs` with None for missing ones; raises TypeError on a name that `form` does not declare."""
    known = form.__annotations__
    unknown = sorted(set(inputs) - set(known))
    if unknown:
        raise TypeError(f"{form.__name__} has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    return {name: inputs.get(name) for name in known}


def secret_env(properties: dict[str, Any]) -> dict[str, Any]:
    """Return the properties with `env`, if present, as a secret."""
    env = properties["env"]
    return properties if env is None else {**properties, "env": pulumi.Output.secret(env)}


def with_secrets(opts: pulumi.ResourceOptions | None, *names: str) -> pulumi.ResourceOptions:
    """Return `opts` with these outputs as secrets."""
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(additional_secret_outputs=list(names)))
