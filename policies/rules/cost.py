"""Cost: an environment's hourly price stays below the limit in its stack file."""

from __future__ import annotations

from collections.abc import Iterator

from policies.rules.rule import Properties, policy

BUDGET = "comfyui:index:Budget"


def over_ceiling(budget: Properties) -> Iterator[str]:
    """Refuse an hourly price above the environment's ceiling."""
    price, ceiling = budget["usdPerHour"], budget["maxUsdPerHour"]
    if price > ceiling:
        yield (
            f"{budget['environment']} would cost ${price:.4f}/h, and its limit is ${ceiling:.4f}/h: choose a cheaper "
            f"GPU, or raise budget.maxPerHour in stacks/Pulumi.{budget['environment']}.yaml"
        )


POLICIES = [policy("hourly-cost-ceiling", BUDGET, over_ceiling)]
