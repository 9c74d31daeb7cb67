from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.runtime.rpc import UNKNOWN

from components.runpod.plugin.base.property_codec import decode, encode, unknown

SCALARS = st.none() | st.booleans() | st.integers(-(2**50), 2**50) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@given(st.dictionaries(st.text(), VALUES), st.booleans())
def test_values_survive_the_wire(values: dict[str, object], secret: bool) -> None:
    secrets = frozenset(values) if secret else frozenset()
    wire = PropertyValue.marshal_map(encode(values, secrets))
    again = decode(PropertyValue.unmarshal_map(wire))
    assert again.values == values
    assert again.secrets == secrets


@pytest.mark.parametrize("value", [UNKNOWN, [UNKNOWN], {"a": [1, {"b": UNKNOWN}]}])
def test_what_is_partly_unknown_is_unknown(value: object) -> None:
    assert unknown(value)
    assert not unknown({"a": ["known", 1, None]})


def test_a_secret_deep_inside_makes_the_whole_property_secret() -> None:
    nested = PropertyValue({"KEY": PropertyValue("x", is_secret=True)})
    assert decode({"env": nested}).secrets == {"env"}
