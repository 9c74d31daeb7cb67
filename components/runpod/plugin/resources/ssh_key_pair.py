"""The SshKeyPair resource."""

from __future__ import annotations

import base64
import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pulumi.runtime.rpc import UNKNOWN

from components.runpod.plugin.base import validation
from components.runpod.plugin.base.property_codec import Values, unknown
from components.runpod.plugin.base.resource import Changes, Failure, ProviderOperation, ResourceHandler


class SshKeyPairHandler(ResourceHandler):
    """An ed25519 key pair that exists only in the state."""

    token = "runpod:index:SshKeyPair"  # noqa: S105 - a resource type
    defaults = {"comment": ""}  # noqa: RUF012 - read only
    outputs = ("publicKey", "privateKey")
    secrets = frozenset({"privateKey"})

    def validate(self, operation: ProviderOperation, olds: Values, inputs: Values) -> tuple[Values, list[Failure]]:  # noqa: ARG002
        """Check the comment."""
        return inputs, validation.apply({"comment": _one_line}, inputs)

    def diff(self, state: Values, inputs: Values) -> Changes:
        """Compare the comment; the key stays."""
        return Changes(("comment",) if state.get("comment") != inputs["comment"] else ())

    def preview_update(self, state: Values, inputs: Values) -> Values:
        """Return the same key with the new comment."""
        if unknown(inputs["comment"]):
            return {**state, **inputs, "publicKey": UNKNOWN}
        return _with_comment(state, inputs)

    def create(self, operation: ProviderOperation, inputs: Values) -> tuple[str, Values]:  # noqa: ARG002
        """Generate the pair."""
        key = Ed25519PrivateKey.generate()
        private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        state = {"publicKey": public, "privateKey": private}
        return _fingerprint(public), _with_comment(state, inputs)

    def update(self, operation: ProviderOperation, resource_id: str, state: Values, inputs: Values) -> Values:  # noqa: ARG002
        """Change the comment."""
        return _with_comment(state, inputs)


def _with_comment(state: Values, inputs: Values) -> Values:
    words = [*str(state["publicKey"]).split(" ")[:2], inputs["comment"]]
    return {**state, **inputs, "publicKey": " ".join(filter(None, words))}


def _fingerprint(public: str) -> str:
    digest = hashlib.sha256(base64.b64decode(public.split(" ")[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _one_line(value: object) -> str:
    return "" if isinstance(value, str) and value.isprintable() else "not one line of printable text"
