"""Calling the handler of an operation with what the operation declares, validated."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from provisioning.gateway.core.http.operation import Handler, Operation
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.http.responses import document_response
from provisioning.gateway.core.problems import Code, Problem, fault

Model = TypeVar("Model", bound=BaseModel)

MAX_FAULTS = 20
"""A refusal lists no more: pydantic collects one for every member and item of a body."""


async def call(operation: Operation, handler: Handler, request: GatewayRequest) -> Response:
    """Validate query and body, call the handler, and return its answer or its document's; raises Problem."""
    given = dict[str, Any]()
    if operation.query is not None:
        given["query"] = parse(operation.query, request.query, Code.INVALID_REQUEST)
    if operation.body is not None and operation.body.invalid is not None:
        given["body"] = parse(operation.body.model, await request.json(), operation.body.invalid)
    answer = await handler(request, **given)
    return answer if isinstance(answer, Response) else document_response(answer, operation.answers[0].status)


def parse(model: type[Model], given: object, invalid: Code) -> Model:
    """Return the model; raises Problem with code `invalid`, which lists up to MAX_FAULTS and repeats no value."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        if error.error_count() > MAX_FAULTS:
            number = f"{error.error_count()} faults"
            text = f"There are {number}; compare the request with its description in /docs/reference."
            raise Problem(invalid, text, members=fault("", number)) from None
        faults = [{"pointer": "/" + "/".join(map(str, item["loc"])), "message": item["msg"]} for item in error.errors()]
        text = "; ".join(f"{item['pointer']}: {item['message']}" for item in faults)
        # The chain is cut: pydantic's own text can quote what it was given.
        raise Problem(invalid, text, members={"errors": faults}) from None
