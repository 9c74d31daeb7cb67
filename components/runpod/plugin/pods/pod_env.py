"""A pod's environment: the declared variables, and comparison of environments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.runpod.marker import ENV_NAME
from components.runpod.plugin.base.property_codec import Values, unknown

INJECTED = frozenset({"PUBLIC_KEY", "JUPYTER_PASSWORD"})


def declared_env(env: Mapping[str, str], wanted: Mapping[str, str], *, keep_marker: bool = False) -> dict[str, str]:
    """Return an environment without RunPod's own variables and, unless it is kept, without the marker.

    A value that differs from the declared one only in white space is returned as declared: RunPod may normalise it.
    """
    return {
        name: wanted[name] if name in wanted and _same(value, wanted[name]) else value
        for name, value in env.items()
        if name in wanted or not (_foreign(name) or (name == ENV_NAME and not keep_marker))
    }


def changed(state: Values, inputs: Values) -> bool:
    """Return whether the environment must change now; a change of deferred variables alone can wait."""
    if "env" not in state:
        return False
    if unknown(inputs.get("env")):
        return True
    return bool(different(state["env"] or {}, inputs.get("env") or {}) - deferred(inputs))


def waiting(state: Values, inputs: Values) -> list[str]:
    """Return the deferred variables whose value in the pod differs from the declared one."""
    if "env" not in state or unknown(inputs.get("env")):
        return []
    return sorted(different(state["env"] or {}, inputs.get("env") or {}) & deferred(inputs))


def deferred(inputs: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the variables whose change alone does not reset the pod."""
    return frozenset(inputs.get("deferredEnv") or ())


def different(one: Mapping[str, str], other: Mapping[str, str]) -> frozenset[str]:
    """Return the names of the variables that are in one only, or differ in more than white space."""
    both = one.keys() & other.keys()
    return frozenset((one.keys() ^ other.keys()) | {name for name in both if not _same(one[name], other[name])})


def names(value: object) -> str:
    """Check a list of names of variables."""
    fits = isinstance(value, list) and all(isinstance(entry, str) and entry for entry in value)
    return "" if fits else f"{value!r} is not a list of names of variables"


def _same(one: str, other: str) -> bool:
    return one == other or one.split() == other.split()


def _foreign(name: str) -> bool:
    return name.startswith("RUNPOD_") or name in INJECTED
