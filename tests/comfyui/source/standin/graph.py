"""Prompts as graphs: links between nodes, and the key under which a node's result is reused."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterable
from typing import Any

from .registry import Registry

Prompt = dict[str, dict[str, Any]]
"""Nodes by id, each with `class_type` and `inputs`: ComfyUI's API form of a workflow."""


class Graph:
    """A prompt that passed validation."""

    def __init__(self, prompt: Prompt, registry: Registry) -> None:
        self._prompt = prompt
        self._registry = registry

    def inputs(self, node_id: str) -> dict[str, Any]:
        """Return the inputs that the node declares; nobody validated any other."""
        node = self._prompt[node_id]
        declared = self._registry.classes[node["class_type"]].INPUT_TYPES()
        known = declared.get("required", {}) | declared.get("optional", {})
        return {name: value for name, value in node["inputs"].items() if name in known}

    def in_order(self, outputs: Iterable[str], is_known: Callable[[str], bool]) -> list[str]:
        """Return the nodes that `outputs` need, each after those that feed it, and nothing that feeds a known one."""
        order: dict[str, None] = {}

        def visit(node_id: str) -> None:
            if node_id in order:
                return
            if not is_known(node_id):
                for value in self.inputs(node_id).values():
                    if is_link(value):
                        visit(value[0])
            order[node_id] = None

        for node_id in outputs:
            visit(node_id)
        return list(order)

    def signatures(self, outputs: Iterable[str]) -> dict[str, str]:
        """Return for every node that `outputs` stand on a text that is equal when its result must be."""
        found: dict[str, str] = {}
        for node_id in self.in_order(outputs, lambda _: False):
            inputs = {
                name: [found[value[0]], value[1]] if is_link(value) else value
                for name, value in self.inputs(node_id).items()
            }
            parts = [self._prompt[node_id]["class_type"], self._change_mark(node_id), inputs]
            found[node_id] = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        return found

    def _change_mark(self, node_id: str) -> str:
        is_changed = getattr(self._registry.classes[self._prompt[node_id]["class_type"]], "IS_CHANGED", None)
        if is_changed is None:
            return ""
        plain = {name: value for name, value in self.inputs(node_id).items() if not is_link(value)}
        try:
            mark = is_changed(**plain)
        except Exception:  # noqa: BLE001 - a node that cannot tell is run, and then says what is wrong
            return secrets.token_hex()
        # Nodes answer NaN to say "always changed", and NaN is the value that differs from itself.
        return secrets.token_hex() if mark != mark else str(mark)  # noqa: PLR0124


def is_link(value: object) -> bool:
    """Return whether an input's value is the output of another node, written [node id, slot]."""
    return isinstance(value, list) and len(value) == 2
