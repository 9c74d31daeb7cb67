"""Property values in the engine's format: JSON with wrappers for secret and unknown values."""

from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format, struct_pb2

# Fixed by Pulumi's wire format: https://www.pulumi.com/docs/iac/extending-pulumi/ (property values).
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  (a wrapper's key, not a secret)
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

Properties = dict[str, Any]


def read(struct: struct_pb2.Struct) -> Properties:
    """Return the properties of a message, with their wrappers."""
    return dict(json_format.MessageToDict(struct))


def write(properties: Mapping[str, Any]) -> struct_pb2.Struct:
    """Return a message from properties with their wrappers."""
    return json_format.ParseDict(dict(properties), struct_pb2.Struct())


def secret(value: object) -> dict[str, object]:
    """Return the value, wrapped as a secret."""
    return {_SIGNATURE: _SECRET, "value": value}


def plain(value: Any) -> Any:  # noqa: ANN401  (a property is any JSON value)
    """Return the value without secret wrappers, at any depth."""
    if isinstance(value, dict):
        if value.get(_SIGNATURE) == _SECRET:
            return plain(value.get("value"))
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def holds_secret(value: object) -> bool:
    """Return whether the value contains a secret, at any depth."""
    if isinstance(value, dict):
        return value.get(_SIGNATURE) == _SECRET or any(holds_secret(item) for item in value.values())
    return isinstance(value, list) and any(holds_secret(item) for item in value)


def holds_unknown(value: object) -> bool:
    """Return whether the value contains an unknown value, at any depth."""
    if isinstance(value, dict):
        return any(holds_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(holds_unknown(item) for item in value)
    return value == UNKNOWN
