"""The stack guard, which verifies a `pulumi destroy`: created first, deleted last."""

from __future__ import annotations

import pulumi

from components.runpod.binding import Resource


class StackGuard(Resource):
    """Holds the stack's random instance id; its deletion deletes everything with that id.

    The deletion fails while anything of the stack is billed. Pass `instance_id` to every pod and volume, so that the
    engine deletes the guard after them.
    """

    token = "runpod:index:StackGuard"  # noqa: S105 - a resource type
    outputs = ("instanceId",)

    def __init__(
        self,
        resource_name: str,
        *,
        stack: pulumi.Input[str],
        keep_volumes: pulumi.Input[bool] = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the guard.

        Args:
            resource_name: Logical name in the stack.
            stack: Name of the stack, for messages.
            keep_volumes: Keep network volumes, which are still billed, when the guard is deleted.
            opts: Pulumi resource options.
        """
        super().__init__(resource_name, {"stack": stack, "keep_volumes": keep_volumes}, opts)

    @property
    def instance_id(self) -> pulumi.Output[str]:
        """Random id of this instance of the stack: part of the marker in every name."""
        return self.output("instanceId")
