"""What a stack tells the outside: names that other programs read with `pulumi stack output --json`."""

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
    """The GPU type that was had."""
    data_center: pulumi.Output[str]
    volume_id: pulumi.Output[str]
    ssh_command: pulumi.Output[str]
    """Works as printed, in the checkout; the comment tells where it leads."""
    comfyui_ref: str
    """`ref@commit`."""
    isolation: pulumi.Output[str]
    """What keeps ComfyUI out of the volume and of the gateway's folders: `landlock`, `folder` or `none`."""
    paused: bool
    """Whether the pod was ended by `make pause`; then there is no address, and the volume alone bills."""
    cost_per_hour: pulumi.Output[float]
    """USD, storage included."""
    cost_projection: pulumi.Output[dict[str, float]]
    """USD for 24h, 7d and 30d of running."""
    cost_breakdown: pulumi.Output[dict[str, float | str]]
    """USD per hour by part, what is paid while stopped, and the date and source of the prices."""


def export(outputs: StackOutputs) -> None:
    """Register every output with the engine under its camelCase name."""
    for field in fields(outputs):
        pulumi.export(to_camel(field.name), getattr(outputs, field.name))
