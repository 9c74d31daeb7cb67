"""Check whether a pod's GPU still satisfies the program, by the written settings and never by the market.

Prices, tiers and stock change every hour. They decide the placement of a new pod; a running pod is never replaced
because of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.placement import TIER_FLOORS, Tier
from components.runpod.plugin.base import validation
from components.runpod.plugin.base.property_codec import Values, differs, unknown
from components.runpod.prices import price_file

_MEMBERS: Mapping[str, validation.Rule] = {
    "minMemoryGb": validation.integer(1, 1024, "GB"),
    "maxUsdPerHour": lambda value: "" if _is_positive(value) else f"{value!r} is not a price above 0",
    "tiers": lambda value: _strange(value, [tier.value for tier in Tier]),
    "exclude": lambda value: "" if isinstance(value, list) else f"{value!r} is not a list",
}


def requirement(value: object) -> str:
    """Check a requirement: nothing, or an object with minimum memory and maximum price."""
    if not isinstance(value, dict):
        return f"{value!r} is not an object"
    missing = [name for name in ("minMemoryGb", "maxUsdPerHour") if value and name not in value]
    wrong = [f"{name} is not one of {', '.join(_MEMBERS)}" for name in value if name not in _MEMBERS]
    wrong += [f"{name} is missing" for name in missing]
    known = {name: rule for name, rule in _MEMBERS.items() if name in value and not unknown(value[name])}
    wrong += [f"{name}: {reason}" for name, rule in known.items() if (reason := rule(value[name]))]
    return wrong[0] if wrong else ""


def excludes(state: Values, inputs: Values) -> bool:
    """Return whether the program excludes the pod's current GPU.

    A list of GPU types is compared with the GPU. With a requirement the list depends on the market and is ignored; the
    requirement is compared, and only when it has changed.
    """
    required = inputs.get("gpuRequirement") or {}
    if unknown(required) or not state.get("gpu"):
        return False
    if not required:
        choices: list[str] = inputs.get("gpuTypeIdList") or []
        return not unknown(choices) and bool(choices) and state["gpu"] not in choices
    return differs(state, inputs, "gpuRequirement") and not _meets(state, required)


def _meets(state: Values, required: Mapping[str, Any]) -> bool:
    gpu, usd = str(state["gpu"]), float(state.get("costPerHr") or 0)  # A stopped pod has no price.
    listed = price_file().gpu(gpu)
    return (
        gpu not in required.get("exclude", [])
        and (listed is None or listed.memory_gb >= required["minMemoryGb"])
        and usd <= required["maxUsdPerHour"]
        and (
            not usd
            or not required.get("tiers")
            or _tier(usd / max(1, int(state.get("gpuCount") or 1))) in required["tiers"]
        )
    )


def _tier(usd_per_gpu: float) -> str:
    return next(tier for tier, floor in TIER_FLOORS.items() if usd_per_gpu >= floor)


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _strange(value: object, choices: list[str]) -> str:
    wrong = [entry for entry in value if entry not in choices] if isinstance(value, list) else [value]
    return f"{wrong[0]!r} is not one of {', '.join(choices)}" if wrong else ""
