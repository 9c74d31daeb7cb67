"""The outputs of a stack, which other programs read with `pulumi stack output --json`."""

from __future__ import annotations

from dataclasses import dataclass, fields

import pulumi
from pydantic.alias_generators import to_camel


@dataclass(frozen=True)
class StackOutputs:
    """The outputs, by the snake_case of their exported names."""

    gateway_url: pulumi.Output[str]
    """Public address of the gateway."""
    api_key: pulumi.Output[str]
    """The first client key; secret."""
    admin_key: pulumi.Output[str]
    """The key that manages the others; secret."""
    pod_id: pulumi.Output[str]
    gpu: pulumi.Output[str]
    """The rented GPU type."""
    data_center: pulumi.Output[str]
    volume_id: pulumi.Output[str]
    ssh_command: pulumi.Output[str]
    """A command that works as printed, in the checkout; its comment contains the address."""
    comfyui_ref: str
    """`ref@commit`."""
    isolation: pulumi.Output[str]
    """How ComfyUI is kept away from the volume and the gateway's folders: `landlock`, `folder` or `none`."""
    paused: bool
    """Whether `make pause` deleted the pod; then there is no address, and only the volume is billed."""
    cost_per_hour: pulumi.Output[float]
    """USD, storage included."""
    cost_projection: pulumi.Output[dict[str, float]]
    """USD for 24h, 7d and 30d of running."""
    cost_breakdown: pulumi.Output[dict[str, float | str]]
    """USD per hour by part, the cost while stopped, and the date and source of the prices."""


def export(outputs: StackOutputs) -> None:
    """Register every output with the engine under its camelCase name."""
    for field in fields(outputs):
        pulumi.export(to_camel(field.name), getattr(outputs, field.name))
