"""Calling the handler of an operation with what the operation declares, validated."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from provisioning.gateway.core.http.exchange import Exchange
from provisioning.gateway.core.http.operation import MAX_BODY_BYTES, Body, Handler, Operation
from provisioning.gateway.core.problems import Code, Problem, fault

Model = TypeVar("Model", bound=BaseModel)

MAX_FAULTS = 20
"""A refusal lists no more: pydantic collects one for every member and item of a body."""


async def call(operation: Operation, handler: Handler, exchange: Exchange) -> None:
    """Validate query and body, call the handler, and answer with the document that it returns; raises Problem."""
    given = dict[str, Any]()
    if operation.query is not None:
        given["query"] = parse(operation.query, exchange.query, Code.INVALID_REQUEST)
    if operation.body is not None and operation.body.invalid is not None:
        given["body"] = await _body(exchange, operation.body, operation.body.invalid)
    document = await handler(exchange, **given)
    if document is not None:
        await exchange.send_document(document, operation.answers[0].status)


async def _body(exchange: Exchange, body: Body, invalid: Code) -> BaseModel:
    model: type[BaseModel] = body.model
    return parse(model, await exchange.json(MAX_BODY_BYTES), invalid)


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
