"""The machine that nodes run on: time, interruption and GPU faults."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from PIL import Image

from .arguments import Options
from .folders import Folders

FAULTS = ("fail", "oom", "cuda", "crash", "hang", "slow", "silent")

_MARKER = re.compile(r"\[stand-in:\s*([a-z]+)(?:\s+([0-9]+(?:\.[0-9]+)?))?\s*\]")

_OUT_OF_MEMORY = (
    "CUDA out of memory. Tried to allocate 2.25 GiB. GPU 0 has a total capacity of 23.64 GiB of which 1.02 GiB is free."
)
_CUDA_FAULT = (
    "CUDA error: an illegal memory access was encountered\n"
    "Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.\n"
)


Report = Callable[[int, int, Image.Image | None, str], None]
"""Takes step, steps, a picture or None, and the format in which that is sent: JPEG or PNG."""


class InterruptProcessingError(Exception):
    """Somebody asked for the running job to end."""


class OutOfMemoryError(RuntimeError):
    """What torch raises when the GPU's memory is full; clients know it by its full name."""

    __module__ = "torch"


class AcceleratorError(RuntimeError):
    """What torch raises after a CUDA fault; the process cannot use the GPU again."""

    __module__ = "torch"


@dataclass(frozen=True)
class Fault:
    """A failure asked for; `seconds` matters for slow alone."""

    kind: str
    seconds: float = 1.0


def fault_in(text: str) -> Fault | None:
    """Return the fault that a marker in `text` asks for, or None; raises ValueError for a kind that is not known."""
    found = _MARKER.search(text)
    if found is None:
        return None
    if found[1] not in FAULTS:
        raise ValueError(f"The stand-in knows no fault {found[1]!r}; it knows {', '.join(FAULTS)}")
    return Fault(found[1], float(found[2] or 1))


class Machine:
    """One pretended GPU with its folders; used by one job at a time, interrupted from other threads."""

    def __init__(self, options: Options, folders: Folders) -> None:
        self.options = options
        self.folders = folders
        self.step_seconds = options.step_seconds
        self.muted = False
        self._broken = False
        self._interrupted = threading.Event()
        self._report: Report = _report_nothing

    def begin(self, report: Report) -> None:
        """Get ready for a job; `report` is called with step, steps, perhaps a picture, and the picture's format."""
        self._report = report
        self.muted = False
        self.step_seconds = self.options.step_seconds

    def interrupt(self) -> None:
        """End the running job at its next step."""
        self._interrupted.set()

    def calm(self) -> None:
        """Forget interruptions that were meant for an earlier job."""
        self._interrupted.clear()

    def check(self) -> None:
        """Raise InterruptProcessingError when somebody asked for it since the job began."""
        if self._interrupted.is_set():
            raise InterruptProcessingError

    def step(self, value: int, total: int, preview: Image.Image | None = None) -> None:
        """Spend the time of one step and report it; ends early when interrupted."""
        self._interrupted.wait(self.step_seconds)
        self.check()
        self._report(value, total, preview, "JPEG")

    def show(self, value: int, total: int, picture: Image.Image) -> None:
        """Report a picture that is a result, at once."""
        self.check()
        self._report(value, total, picture, "PNG")

    def touch_gpu(self, pixels: int) -> None:
        """Pretend to use the GPU for so many pixels; raises what torch would when it cannot be done."""
        if self._broken:
            raise AcceleratorError(_CUDA_FAULT)
        # About what a 24 GB card bears; without a bound a request could eat the memory of the machine we run on.
        if pixels > 64 * 1024 * 1024:
            raise OutOfMemoryError(_OUT_OF_MEMORY)

    def suffer(self, fault: Fault) -> None:
        """Let `fault` happen."""
        happen: dict[str, Callable[[], None]] = {
            "fail": _fail,
            "oom": _run_out_of_memory,
            "cuda": self._break,
            "crash": _crash,
            "hang": _hang,
            "slow": lambda: setattr(self, "step_seconds", fault.seconds),
            "silent": lambda: setattr(self, "muted", True),
        }
        happen[fault.kind]()

    def _break(self) -> NoReturn:
        self._broken = True
        raise AcceleratorError(_CUDA_FAULT)


def _report_nothing(value: int, total: int, picture: Image.Image | None, form: str) -> None:
    del value, total, picture, form


def _fail() -> NoReturn:
    raise ValueError("The stand-in was asked to fail.")


def _run_out_of_memory() -> NoReturn:
    raise OutOfMemoryError(_OUT_OF_MEMORY)


def _crash() -> NoReturn:
    # 137 is what a supervisor sees when the kernel's memory killer ends a process.
    os._exit(137)


def _hang() -> NoReturn:
    while True:
        threading.Event().wait(3600)
