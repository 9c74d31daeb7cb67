"""The progress of a running job."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard


@dataclass
class JobProgress:
    """The progress of a running job, from ComfyUI's messages."""

    done: set[str] = field(default_factory=set)
    """Ids of the nodes that have finished or were cached."""
    node: str | None = None
    step: int | None = None
    steps: int | None = None

    def advance(self, name: str, data: Mapping[str, Any]) -> None:
        """Apply a message of type `name`."""
        node, value, most = data.get("node"), data.get("value"), data.get("max")
        if name == "execution_cached" and isinstance(data.get("nodes"), list):
            self.done.update(map(str, data["nodes"]))
        elif name == "executing" and isinstance(node, str):
            # One node runs at a time: the previous one has finished.
            if self.node not in {None, node}:
                self.done.add(str(self.node))
            self.node, self.step, self.steps = node, None, None
        elif name == "progress" and _is_number(value) and _is_number(most):
            self.step, self.steps = max(0, int(value)), max(0, int(most))
        elif name == "executed" and isinstance(node, str):
            self.done.add(node)


def _is_number(given: object) -> TypeGuard[int | float]:
    """Return whether a node reported a finite number; custom nodes may report any JSON."""
    return isinstance(given, int | float) and math.isfinite(given)
