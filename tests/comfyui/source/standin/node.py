"""The base of every built-in node: a ComfyUI node class bound to one machine."""

from __future__ import annotations

from typing import Any, ClassVar

from .machine import Machine

Inputs = dict[str, dict[str, Any]]
"""Sections `required`, `optional` and `hidden`, each with inputs in ComfyUI's form: (type, settings)."""


class Node:
    """A node in the form that ComfyUI's own nodes have; made anew for every run."""

    machine: ClassVar[Machine]
    CATEGORY: ClassVar[str] = "stand-in"
    DESCRIPTION: ClassVar[str] = ""
    FUNCTION: ClassVar[str] = "run"
    OUTPUT_NODE: ClassVar[bool] = False
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ()
    RETURN_NAMES: ClassVar[tuple[str, ...]] = ()
    """Names of the outputs where they differ from their types."""

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:  # noqa: N802 - the name is ComfyUI's
        """Return the inputs; the lists in them are read from disk at every call."""
        return cls.inputs()

    @classmethod
    def inputs(cls) -> Inputs:
        """Return the inputs; each node says its own."""
        raise NotImplementedError


def integer(default: int, low: int, high: int, step: int = 1) -> tuple[str, dict[str, int]]:
    """Return an INT input."""
    return "INT", {"default": default, "min": low, "max": high, "step": step}


def number(default: float, low: float, high: float, step: float = 0.01) -> tuple[str, dict[str, float]]:
    """Return a FLOAT input."""
    return "FLOAT", {"default": default, "min": low, "max": high, "step": step}


def text(*, multiline: bool = True) -> tuple[str, dict[str, bool]]:
    """Return a STRING input for people to write a prompt into."""
    return "STRING", {"multiline": multiline, "dynamicPrompts": multiline}
