"""Secrets that are generated once and kept encrypted in the state."""

from __future__ import annotations

import pulumi

from components.runpod.binding import Resource, with_secrets


class SshKeyPair(Resource):
    """An ed25519 key pair in OpenSSH form, generated once."""

    token = "runpod:index:SshKeyPair"  # noqa: S105 - a resource type
    outputs = ("publicKey", "privateKey")

    def __init__(
        self,
        resource_name: str,
        *,
        comment: pulumi.Input[str] = "",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare a key pair; `comment` ends the public key's line, and changing it keeps the key."""
        super().__init__(resource_name, {"comment": comment}, with_secrets(opts, "privateKey"))

    @property
    def public_key(self) -> pulumi.Output[str]:
        """The public half, `ssh-ed25519 AAAA... comment`."""
        return self.output("publicKey")

    @property
    def private_key(self) -> pulumi.Output[str]:
        """The private half as unencrypted OpenSSH PEM; secret."""
        return self.output("privateKey")


class RandomSecret(Resource):
    """A random base62 string, generated once."""

    token = "runpod:index:RandomSecret"  # noqa: S105 - a resource type
    outputs = ("value",)

    def __init__(
        self,
        resource_name: str,
        *,
        prefix: pulumi.Input[str] = "",
        length: pulumi.Input[int] = 40,
        checksum: pulumi.Input[bool] = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare a secret; a change of any input generates a new one.

        Args:
            resource_name: Logical name in the stack.
            prefix: Text before the random body.
            length: Characters in the random body, 16 to 128.
            checksum: Append six base62 digits of CRC32 over prefix and body, so that a typing error is detectable.
            opts: Pulumi resource options.
        """
        inputs = {"prefix": prefix, "length": length, "checksum": checksum}
        super().__init__(resource_name, inputs, with_secrets(opts, "value"))

    @property
    def value(self) -> pulumi.Output[str]:
        """The secret itself."""
        return self.output("value")
