"""The environment's price beside its ceiling, where previews show it and a policy refuses what is above."""

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
    """What runs costs; in a preview that makes a new pod, what the dearest candidate would cost.

    So a change of the market is no change of the stack, while a change of the stack shows its price.
    """


class Budget(Component):
    """Holds the two figures; makes nothing."""

    def __init__(self, name: str, args: BudgetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, vars(args), opts)
        self.register_outputs({})


def known_or(output: pulumi.Output[float], estimate: float) -> pulumi.Output[float]:
    """Return the real figure, or the estimate while a preview cannot know it."""

    def choose(value: Any) -> float:  # noqa: ANN401 - the engine's marker for unknowns has no type
        return estimate if pulumi.output.contains_unknowns(value) else float(value)

    return output.apply(choose, run_with_unknowns=True)
