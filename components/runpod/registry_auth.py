"""Credentials of a private container registry."""

from __future__ import annotations

import pulumi

from components.runpod.binding import Resource, with_secrets


class ContainerRegistryAuth(Resource):
    """Credentials with which RunPod pulls images; a change of any input replaces them."""

    token = "runpod:index:ContainerRegistryAuth"  # noqa: S105 - a resource type
    outputs = ("registryAuthId", "physicalName")

    def __init__(
        self,
        resource_name: str,
        *,
        name_: pulumi.Input[str],
        username: pulumi.Input[str],
        password: pulumi.Input[str],
        guard: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare credentials.

        Args:
            resource_name: Logical name in the stack.
            name_: Base of the physical name; the stack's marker is appended.
            username: User at the registry; kept as a secret.
            password: Password or access token; kept as a secret.
            guard: Instance id of the stack's guard.
            opts: Pulumi resource options.
        """
        secret = pulumi.Output.secret
        inputs = {"name": name_, "username": secret(username), "password": secret(password), "guard": guard}
        super().__init__(resource_name, inputs, with_secrets(opts, "username", "password"))
        self.acknowledge(self.registry_auth_id)

    @property
    def registry_auth_id(self) -> pulumi.Output[str]:
        """RunPod's id; unknown until created, unlike `id`."""
        return self.output("registryAuthId")

    @property
    def physical_name(self) -> pulumi.Output[str]:
        """The name at RunPod, marker included."""
        return self.output("physicalName")
