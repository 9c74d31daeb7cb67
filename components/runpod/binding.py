"""What every binding does alike: hand inputs to the engine and read outputs back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi


class Resource(pulumi.CustomResource):
    """A resource of our provider; property names on the wire are camelCase."""

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
        """Tell the provider that the engine has saved this resource.

        An output is known to the program only after the state was written, so from here on the provider may forget
        the intent it recorded before creating it.
        """
        pulumi.runtime.invoke_output("runpod:index:acknowledge", {"resourceId": resource_id})


def camel(name: str) -> str:
    """Return a Python name as the wire has it; `name_` stands for `name`, which Pulumi keeps for itself."""
    head, *tail = name.rstrip("_").split("_")
    return head + "".join(part.capitalize() for part in tail)


def declared(inputs: Mapping[str, Any], form: type) -> dict[str, Any]:
    """Return `inputs` with None for what was left out; raises TypeError on a name that `form` does not declare."""
    known = form.__annotations__
    unknown = sorted(set(inputs) - set(known))
    if unknown:
        raise TypeError(f"{form.__name__} has no {', '.join(unknown)}; it knows {', '.join(sorted(known))}")
    return {name: inputs.get(name) for name in known}


def secret_env(properties: dict[str, Any]) -> dict[str, Any]:
    """Return properties whose `env`, where there is one, is kept as a secret."""
    env = properties["env"]
    return properties if env is None else {**properties, "env": pulumi.Output.secret(env)}


def with_secrets(opts: pulumi.ResourceOptions | None, *names: str) -> pulumi.ResourceOptions:
    """Return `opts` with these outputs kept as secrets in the state."""
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(additional_secret_outputs=list(names)))
