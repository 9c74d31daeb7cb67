"""Prompts as graphs: who feeds whom, and what makes a node's result the same as before."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from .registry import Registry

Prompt = dict[str, dict[str, Any]]
"""Nodes by id, each with `class_type` and `inputs`: ComfyUI's API form of a workflow."""


def is_link(value: object) -> bool:
    """Return whether an input's value is the output of another node, written [node id, slot]."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int)


def sources(prompt: Prompt, node_id: str) -> Iterator[str]:
    """Yield the ids of the nodes that feed a node."""
    for value in prompt[node_id]["inputs"].values():
        if is_link(value):
            yield value[0]


def in_order(prompt: Prompt, outputs: Iterable[str], is_known: Callable[[str], bool]) -> list[str]:
    """Return the nodes that `outputs` need, each after those that feed it; what feeds a known node is not needed."""
    order: dict[str, None] = {}

    def visit(node_id: str) -> None:
        if node_id in order:
            return
        if not is_known(node_id):
            for source in sources(prompt, node_id):
                visit(source)
        order[node_id] = None

    for node_id in outputs:
        visit(node_id)
    return list(order)


def signatures(prompt: Prompt, outputs: Iterable[str], registry: Registry) -> dict[str, str]:
    """Return for every node that `outputs` stand on a text that is equal when its result must be."""
    found: dict[str, str] = {}
    for node_id in in_order(prompt, outputs, lambda _: False):
        node = prompt[node_id]
        inputs = {
            name: [found[value[0]], value[1]] if is_link(value) else value for name, value in node["inputs"].items()
        }
        parts = [node["class_type"], _change_mark(node, registry), inputs]
        found[node_id] = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return found


def _change_mark(node: Mapping[str, Any], registry: Registry) -> str:
    is_changed = getattr(registry.classes[node["class_type"]], "IS_CHANGED", None)
    if is_changed is None:
        return ""
    mark = is_changed(**{name: value for name, value in node["inputs"].items() if not is_link(value)})
    # Nodes answer NaN to say "always changed", and NaN is the value that differs from itself.
    return secrets.token_hex() if mark != mark else str(mark)  # noqa: PLR0124
