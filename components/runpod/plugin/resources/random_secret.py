"""The RandomSecret resource."""

from __future__ import annotations

import secrets
import string
import zlib

from components.runpod.plugin.base import validation
from components.runpod.plugin.base.property_codec import Values, differs
from components.runpod.plugin.base.resource import Changes, Failure, ProviderOperation, ResourceHandler

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_DEFAULTS = {"prefix": "", "length": 40, "checksum": False}


class RandomSecretHandler(ResourceHandler):
    """A random string that exists only in the state."""

    token = "runpod:index:RandomSecret"  # noqa: S105 - a resource type
    defaults = _DEFAULTS
    outputs = ("value",)
    secrets = frozenset({"value"})

    def validate(self, operation: ProviderOperation, olds: Values, inputs: Values) -> tuple[Values, list[Failure]]:  # noqa: ARG002
        """Check the inputs."""
        rules = {
            "prefix": validation.any_text,
            "length": validation.integer(16, 128, "characters"),
            "checksum": validation.flag,
        }
        return inputs, validation.apply(rules, inputs)

    def diff(self, state: Values, inputs: Values) -> Changes:
        """Compare; every change replaces the secret, except of an input that is newer than the state."""
        return Changes(replaces=tuple(name for name in _DEFAULTS if differs(state, inputs, name)))

    def create(self, operation: ProviderOperation, inputs: Values) -> tuple[str, Values]:  # noqa: ARG002
        """Generate the secret; its id is an independent random string."""
        text = inputs["prefix"] + "".join(secrets.choice(ALPHABET) for _ in range(inputs["length"]))
        value = text + checksum(text) if inputs["checksum"] else text
        return secrets.token_hex(8), {**inputs, "value": value}

    def update(self, operation: ProviderOperation, resource_id: str, state: Values, inputs: Values) -> Values:  # noqa: ARG002
        """Store the inputs; a significant change is a replacement and does not come here."""
        return {**state, **inputs}


def checksum(text: str) -> str:
    """Return CRC32 of the text as six base62 digits, zero padded."""
    rest, digits = zlib.crc32(text.encode()), ""
    for _ in range(6):
        rest, digit = divmod(rest, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits
