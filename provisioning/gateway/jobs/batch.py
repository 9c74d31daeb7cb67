"""A batch: many jobs that one request asked for, accepted all together or not at all."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provisioning.gateway.jobs.job import FINAL, STAGED, JobState
from provisioning.gateway.problems import Code, Problem, fault


@dataclass(frozen=True)
class Batch:
    """What is known of a batch beside its jobs."""

    id: str
    owner: str
    key_id: str
    created_at: int
    size: int
    idempotency_key: str | None = None
    request_hash: bytes | None = None
    webhook_url: str | None = None
    """Where its end is told, beside its owner's endpoints; until then it is written down elsewhere."""


def workflows(body: Mapping[str, Any], most: int) -> list[Any]:
    """Return the workflows that a request asks for: `workflows`, or `workflow` once for each of `inputs`.

    Raises Problem; whether each is a workflow is not looked at here.
    """
    given, base, inputs = body.get("workflows"), body.get("workflow"), body.get("inputs")
    if given is None and isinstance(base, dict) and isinstance(inputs, list):
        _check_number("inputs", inputs, most)
        return [_overridden(base, override, place) for place, override in enumerate(inputs)]
    if isinstance(given, list) and base is None and inputs is None:
        _check_number("workflows", given, most)
        return given
    message = "Send `workflows`, a list, or `workflow` with `inputs`, a list of what differs."
    raise Problem(Code.INVALID_FIELD, message, members=fault("/workflows", "missing or not a list"))


def _check_number(name: str, given: list[Any], most: int) -> None:
    if not 1 <= len(given) <= most:
        message = f"{name}: 1 to {most} entries."
        raise Problem(Code.INVALID_FIELD, message, members=fault(f"/{name}", f"{len(given)} entries"))


def _overridden(base: dict[str, Any], override: Any, place: int) -> dict[str, Any]:  # noqa: ANN401 - a client's JSON
    """Return the workflow with some inputs of some nodes replaced: `{node id: {input: value}}`."""
    made = copy.deepcopy(base)
    for node_id, values in override.items() if isinstance(override, dict) else [("", None)]:
        node = made.get(node_id)
        if not isinstance(values, dict) or not isinstance(node, dict) or not isinstance(node.get("inputs"), dict):
            message = "inputs: for each job `{node id: {input: value}}`, with nodes that the workflow has."
            raise Problem(Code.INVALID_FIELD, message, members=fault(f"/inputs/{place}", f"no such node: {node_id}"))
        node["inputs"] |= values
    return made


def status(states: Counter[JobState]) -> str:
    """Return one word for all jobs of a batch: queued, running, succeeded, failed, canceled, or partial."""
    unfinished = {state for state in states if state not in FINAL}
    if unfinished:
        return "queued" if set(states) <= {JobState.ACCEPTED, *STAGED} else "running"
    words = {_WORDS[state] for state in states}
    return words.pop() if len(words) == 1 else "partial"


_WAITING = {JobState.ACCEPTED, JobState.DISPATCHING, JobState.QUEUED}

_WORDS = {
    JobState.COMPLETED: "succeeded",
    JobState.FAILED: "failed",
    JobState.REJECTED: "failed",
    JobState.CANCELLED: "canceled",
}
