"""Base class of the components, which passes their inputs to the engine in camelCase."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from pydantic.alias_generators import to_camel

from components.naming import child, token


class Component(pulumi.ComponentResource):
    """A component whose inputs previews and policies can see."""

    def __init__(self, name: str, inputs: Mapping[str, Any], opts: pulumi.ResourceOptions | None) -> None:
        self.__name = name
        # GPUs that are chosen by capability vary with the market, and that must not change the stack.
        properties = {to_camel(key): value for key, value in inputs.items() if key != "gpus"}
        super().__init__(token(type(self).__name__), name, properties, opts)

    def child(self, suffix: str) -> str:
        """Return the logical name of one of this component's children."""
        return child(self.__name, suffix)

    def under(self, opts: pulumi.ResourceOptions | None = None) -> pulumi.ResourceOptions:
        """Return options that make a resource a child of this one, on top of `opts`."""
        return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(parent=self))
