"""JSON Schemas of all models of the operations, generated together so that names are unique."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import TypeAdapter

from provisioning.gateway.core.http.operation import Operation
from provisioning.gateway.docs.problem_models import ComfyProblemBody, ProblemBody

Mode = Literal["validation", "serialization"]
Wanted = tuple[str, Mode, TypeAdapter[Any]]


class Schemas:
    """The schemas of all request and response bodies of operations."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        wanted: list[Wanted] = [("", "serialization", TypeAdapter(model)) for model in (ProblemBody, ComfyProblemBody)]
        for operation in operations:
            wanted += _wanted(operation)
        found, rest = TypeAdapter.json_schemas(
            [(f"{index}", mode, adapter) for index, (_, mode, adapter) in enumerate(wanted)],
            ref_template="#/components/schemas/{model}",
        )
        self._found = {(name, mode): found[f"{index}", mode] for index, (name, mode, _) in enumerate(wanted)}
        self.components: dict[str, Any] = rest.get("$defs", {})

    def body(self, key: str) -> dict[str, Any]:
        """Return the schema of an operation's request body."""
        return self._found[key, "validation"]

    def answer(self, key: str, status: int) -> dict[str, Any]:
        """Return the schema of an operation's response body."""
        return self._found[f"{key} {status}", "serialization"]


def _wanted(operation: Operation) -> list[Wanted]:
    wanted: list[Wanted] = [
        (f"{operation.key} {answer.status}", "serialization", TypeAdapter(answer.model))
        for answer in operation.answers
        if answer.model is not None
    ]
    if operation.body is not None:
        wanted.append((operation.key, "validation", TypeAdapter(operation.body.model)))
    return wanted
