from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.runpod.marker import ENV_NAME, marker_of, new_instance, new_marker, parse, split_name


@given(st.text(min_size=1, max_size=60))
def test_names_give_back_base_and_marker(base: str) -> None:
    marker = new_marker(new_instance(), "urn:a")
    assert split_name(marker.name(base)) == (base, marker)


@pytest.mark.parametrize(
    "name", ["", "pod", "gpu-0123456789-01234567", "0123456789-01234567-89abcdef", "gpu_" + "0" * 28]
)
def test_foreign_names_carry_none(name: str) -> None:
    assert split_name(name) == (name, None)


def test_a_renamed_pod_is_known_by_its_environment() -> None:
    marker = new_marker(new_instance(), "urn:a")
    assert marker_of("renamed", {ENV_NAME: str(marker)}) == marker


def test_creations_of_one_resource_belong_together() -> None:
    first, second, other = (new_marker("0123456789", urn) for urn in ("urn:a", "urn:a", "urn:b"))
    assert first != second
    assert first.same_resource(second)
    assert not first.same_resource(other)
    assert not first.same_resource(parse("nothing"))
