"""An entry of the account's SSH keys."""

from __future__ import annotations

import pulumi

from components.runpod.binding import Resource


class AccountSshKey(Resource):
    """One of the keys that pods made with `startSsh` accept; entries of others are never changed."""

    token = "runpod:index:AccountSshKey"  # noqa: S105 - a resource type
    outputs = ("keyId",)

    def __init__(
        self,
        resource_name: str,
        *,
        name_: pulumi.Input[str],
        public_key: pulumi.Input[str],
        guard: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare an entry.

        Args:
            resource_name: Logical name in the stack.
            name_: Base of the entry's comment; the stack's marker is appended. A change replaces the entry.
            public_key: `ssh-ed25519 AAAA...`; a change updates the entry in place.
            guard: Instance id of the stack's guard.
            opts: Pulumi resource options.
        """
        super().__init__(resource_name, {"name": name_, "public_key": public_key, "guard": guard}, opts)

    @property
    def key_id(self) -> pulumi.Output[str]:
        """The entry's comment, marker included; unknown until created, unlike `id`."""
        return self.output("keyId")
