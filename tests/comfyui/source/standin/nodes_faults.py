"""A node that fails on request, for workflows whose prompt must not change."""

from __future__ import annotations

from PIL import Image

from .machine import FAULTS as KINDS
from .machine import Fault
from .node import Inputs, Node, number


class StandInFault(Node):
    """Lets pictures through, after the fault it was asked for."""

    DESCRIPTION = "Goes wrong on request; only the stand-in has it."
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def inputs(cls) -> Inputs:
        chosen = {"fault": (list(KINDS),), "seconds": number(1.0, 0.0, 3600.0)}
        return {"required": {"images": ("IMAGE",)} | chosen}

    def run(self, images: list[Image.Image], fault: str, seconds: float) -> tuple[list[Image.Image]]:
        self.machine.suffer(Fault(fault, seconds))
        self.machine.step(1, 1)
        return (images,)


FAULTS = (StandInFault,)
