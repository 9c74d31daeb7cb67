"""A collection of the API: list, get, create, update and delete for one kind of resource."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from pydantic import JsonValue, ValidationError

from components.runpod.api.errors import LostAnswerError, NotRunPodError
from components.runpod.api.models import ApiModel
from components.runpod.api.transport import Call, Transport

Model = TypeVar("Model", bound=ApiModel)


class Collection(Generic[Model]):
    """The resources below one path of the API; every method raises an error of `components.runpod.api.errors`."""

    def __init__(self, transport: Transport, path: str, member: str, model: type[Model]) -> None:
        """Take the path of the collection and the member of a list's answer that contains the resources."""
        self._transport = transport
        self._path = path
        self._member = member
        self._model = model

    def all(self, query: Mapping[str, str] | None = None) -> list[Model]:
        """Return all resources of this kind in the account."""
        call = Call("GET", self._path, query=query or {})
        answer = self._transport.send(call)
        entries = answer.get(self._member) if isinstance(answer, dict) else None
        if not isinstance(entries, list):
            raise NotRunPodError(str(call), f"the answer has no list {self._member!r}")
        return [parsed(call, entry, self._model) for entry in entries]

    def get(self, identity: str) -> Model:
        """Return one resource; raises NotFoundError only when RunPod itself reports that this id does not exist."""
        return self._one(Call("GET", f"{self._path}/{identity}"))

    def create(self, body: Mapping[str, Any]) -> Model:
        """Create one; raises LostAnswerError when it may exist now, or exists and its description was lost."""
        call = Call("POST", self._path, body=body, repeatable=False)
        answer = self._transport.send(call)
        try:
            return parsed(call, answer, self._model)
        except NotRunPodError as garbled:
            raise LostAnswerError(str(call), garbled.detail) from None

    def update(self, identity: str, body: Mapping[str, Any]) -> Model:
        """Change the given members."""
        return self._one(Call("PATCH", f"{self._path}/{identity}", body=body))

    def delete(self, identity: str) -> None:
        """Request its deletion; the caller verifies it afterwards."""
        self._transport.send(Call("DELETE", f"{self._path}/{identity}"))

    def _one(self, call: Call) -> Model:
        return parsed(call, self._transport.send(call), self._model)


def parsed(call: Call, answer: JsonValue, model: type[Model]) -> Model:
    """Return the answer as a model; raises NotRunPodError when it has another form."""
    try:
        return model.model_validate(answer)
    except ValidationError as fault:
        # The message does not contain the input: a pod's environment holds secrets.
        where = ", ".join(".".join(map(str, error["loc"])) or "answer" for error in fault.errors(include_input=False))
        raise NotRunPodError(str(call), f"the answer has an unexpected form at {where}") from None
