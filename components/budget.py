"""The environment's price and its limit, shown in previews; a policy refuses a price above the limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi

from components.component import Component


@dataclass(frozen=True)
class BudgetArgs:
    """Inputs of Budget, USD per hour, storage included."""

    environment: str
    max_usd_per_hour: float
    usd_per_hour: pulumi.Input[float]
    """Price of the running environment; in a preview with a new pod, the price with the most expensive candidate.

    So a market price that moves does not change the stack, and a changed stack shows its price.
    """


class Budget(Component):
    """Holds the two prices; creates no resources."""

    def __init__(self, name: str, args: BudgetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, vars(args), opts)
        self.register_outputs({})


def known_or(output: pulumi.Output[float], estimate: float) -> pulumi.Output[float]:
    """Return the real price, or the estimate while it is unknown in a preview."""

    def choose(value: Any) -> float:  # noqa: ANN401 - the engine's marker for unknowns has no type
        return estimate if pulumi.output.contains_unknowns(value) else float(value)

    return output.apply(choose, run_with_unknowns=True)
