"""Conversion between the engine's property values and plain Python."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.runtime.rpc import UNKNOWN

Values = dict[str, Any]


@dataclass(frozen=True)
class Properties:
    """Plain values, and the names of those that are or contain secrets."""

    values: Values
    secrets: frozenset[str]


def decode(properties: Mapping[str, PropertyValue]) -> Properties:
    """Return the engine's properties as plain values; unknown values are UNKNOWN."""
    secrets = frozenset(name for name, value in properties.items() if value.contains_secret())
    return Properties({name: _plain(value) for name, value in properties.items()}, secrets)


def encode(values: Mapping[str, Any], secrets: Collection[str]) -> dict[str, PropertyValue]:
    """Return plain values as the engine's properties, with `secrets` kept encrypted in the state."""
    return {name: _wire(value).with_secret(name in secrets) for name, value in values.items()}


def unknown(value: object) -> bool:
    """Return whether a value is wholly or partly unknown."""
    if isinstance(value, Mapping):
        return any(unknown(item) for item in value.values())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return any(unknown(item) for item in value)
    return value == UNKNOWN


def differs(state: Mapping[str, Any], inputs: Mapping[str, Any], name: str) -> bool:
    """Return whether an input has changed; false when the state is older than the input."""
    return name in state and (unknown(inputs.get(name)) or state[name] != inputs.get(name))


def _plain(property_value: PropertyValue) -> Any:  # noqa: ANN401 - whatever a program hands in
    value = property_value.value
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    # The protocol has only floating-point numbers.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _wire(value: Any) -> PropertyValue:  # noqa: ANN401 - the inverse of the above
    if isinstance(value, Mapping):
        return PropertyValue({name: _wire(item) for name, item in value.items()})
    if isinstance(value, list | tuple):
        return PropertyValue([_wire(item) for item in value])
    if isinstance(value, int) and not isinstance(value, bool):
        return PropertyValue(float(value))
    return PropertyValue(value)
