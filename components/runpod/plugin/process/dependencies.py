"""Injected dependencies of the provider process: clocks, and choices of the operator."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from components.runpod.plugin.base.stack_file import NO_STACK_FILES, StackFiles


@dataclass(frozen=True)
class Clocks:
    """The provider's clocks; replaced in tests."""

    since_start: Callable[[], float] = time.monotonic
    """Monotonic seconds, for time limits within one run."""
    wall: Callable[[], float] = time.time
    """Seconds since 1970, for comparison with the state of an earlier run."""


@dataclass(frozen=True)
class OperatorChoices:
    """Choices of the operator in environment variables and stack files."""

    stack_files: StackFiles = NO_STACK_FILES
    missing_is_gone: bool = False
    """Whether the key is confirmed to be right, so that unknown resources are deleted."""


REAL_TIME = Clocks()
NO_CHOICES = OperatorChoices()
