"""What the provider process gets from outside of the engine: time, and what a person says beside the program."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from components.runpod.plugin.base.stack_file import NO_STACK_FILES, StackFiles


@dataclass(frozen=True)
class Clocks:
    """Time as the provider sees it; replaced in tests."""

    since_start: Callable[[], float] = time.monotonic
    """Seconds that only grow, for bounds within one run."""
    wall: Callable[[], float] = time.time
    """Seconds since 1970, for what is compared with the state of an earlier run."""


@dataclass(frozen=True)
class OperatorChoices:
    """What a person says beside the program and its configuration."""

    stack_files: StackFiles = NO_STACK_FILES
    missing_is_gone: bool = False
    """The key is right, and what RunPod does not know is gone."""


REAL_TIME = Clocks()
NO_CHOICES = OperatorChoices()
