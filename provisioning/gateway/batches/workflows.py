"""The workflows in a request for a batch."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from provisioning.gateway.batches.schemas import SubmitBatch
from provisioning.gateway.core.problems import Code, Problem, fault


def workflows_of(order: SubmitBatch, most: int) -> list[Any]:
    """Return the workflows of a request: `workflows`, or `workflow` once for each of `inputs`.

    Raises Problem INVALID_FIELD; the workflows themselves are not validated here.
    """
    if order.workflows is None and order.workflow is not None and order.inputs is not None:
        _check_number("inputs", order.inputs, most)
        return [_overridden(order.workflow, inputs, index) for index, inputs in enumerate(order.inputs)]
    if order.workflows is not None and order.workflow is None and order.inputs is None:
        _check_number("workflows", order.workflows, most)
        return order.workflows
    message = "Send `workflows`, a list, or `workflow` with `inputs`, a list of changes."
    raise Problem(Code.INVALID_FIELD, message, members=fault("/workflows", "missing or not a list"))


def _check_number(name: str, given: Sequence[Any], most: int) -> None:
    if not 1 <= len(given) <= most:
        message = f"{name}: 1 to {most} entries."
        raise Problem(Code.INVALID_FIELD, message, members=fault(f"/{name}", f"{len(given)} entries"))


def _overridden(workflow: Mapping[str, Any], inputs: Mapping[str, Mapping[str, Any]], index: int) -> dict[str, Any]:
    """Return the workflow with some inputs of some nodes replaced."""
    made = copy.deepcopy(dict(workflow))
    for node_id, values in inputs.items():
        node = made.get(node_id)
        if not isinstance(node, dict) or not isinstance(node.get("inputs"), dict):
            message = "inputs: for each job `{node id: {input: value}}`, with nodes that the workflow has."
            raise Problem(Code.INVALID_FIELD, message, members=fault(f"/inputs/{index}", f"no such node: {node_id}"))
        node["inputs"] |= values
    return made
