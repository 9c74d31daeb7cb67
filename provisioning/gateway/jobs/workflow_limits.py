"""Limits on workflows: node classes, number of nodes, image sizes and steps.

The limits apply to literal numbers in a workflow. Values that nodes pass to each other at run time are unknown here;
the job's time limit bounds their effect.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from typing import Any

from provisioning.contract.gateway_options import Options
from provisioning.gateway.core.problems import Code, Problem

MAX_DEPTH = 64
"""Most levels of nesting; real workflows have about four."""

_FRAMES = ("batch_size", "batch", "length", "frames", "num_frames", "video_frames", "frame_count")
"""Inputs with the number of images of a node's width and height."""


@dataclass(frozen=True)
class WorkflowLimits:
    """Checks workflows; every problem names the node, the limit and the value."""

    max_nodes: int
    max_pixels: int
    max_steps: int
    allowed: re.Pattern[str] | None
    """Allowed node classes; None means all."""
    denied: re.Pattern[str]

    def check_size(self, graph: Any) -> None:  # noqa: ANN401 - a client's JSON
        """Raise Problem for a workflow that is nested too deeply or has too many nodes."""
        if _is_deeper(graph, MAX_DEPTH):
            raise Problem(Code.WORKFLOW_TOO_LARGE, f"The workflow is nested more than {MAX_DEPTH} levels deep.")
        if len(graph) > self.max_nodes:
            raise Problem(
                Code.WORKFLOW_TOO_LARGE, f"The workflow has {len(graph)} nodes; {self.max_nodes} are allowed."
            )

    def check_node(self, node_id: str, node: Mapping[str, Any]) -> None:
        """Raise Problem for a node of a class that is not allowed, or with too large numbers."""
        cls, inputs = node["class_type"], node["inputs"]
        if self.denied.fullmatch(cls) or (self.allowed is not None and not self.allowed.fullmatch(cls)):
            raise Problem(Code.NODE_NOT_ALLOWED, f"Node {node_id}: the operator does not allow {cls[:100]} here.")
        pixels = _number(inputs, "width") * _number(inputs, "height") * max(1, *(_number(inputs, n) for n in _FRAMES))
        if pixels > self.max_pixels:
            text = f"Node {node_id}: width x height x number is {pixels}; {self.max_pixels} are allowed."
            raise Problem(Code.WORKFLOW_TOO_LARGE, text)
        if (steps := _number(inputs, "steps")) > self.max_steps:
            text = f"Node {node_id}: {steps} steps; {self.max_steps} are allowed."
            raise Problem(Code.WORKFLOW_TOO_LARGE, text)


def _number(inputs: Mapping[str, Any], name: str) -> int:
    """Return a numeric input; 0 for links, text and missing inputs."""
    value = inputs.get(name)
    return int(value) if isinstance(value, int | float) else 0


def _is_deeper(value: Any, levels: int) -> bool:  # noqa: ANN401 - a client's JSON
    layer = [value]
    for _ in range(levels):
        nested = [item for item in layer if isinstance(item, dict | list)]
        layer = [inner for item in nested for inner in (item.values() if isinstance(item, dict) else item)]
    return bool(layer)


def of_options(options: Options) -> WorkflowLimits:
    """Return the limits from the options."""
    allowed = _any_of(options.allowed_nodes) if options.allowed_nodes else None
    return WorkflowLimits(
        options.max_nodes, options.max_pixels, options.max_steps, allowed, _any_of(options.denied_nodes)
    )


@lru_cache(maxsize=4)
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    # Case-insensitive: a node pack that changes the capitals of a class name must not evade the list.
    return re.compile("|".join(map(translate, patterns)) or r"(?!)", re.IGNORECASE)
