"""JSON bodies of known form, and answers in pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from provisioning.gateway.problems import Code, Problem, fault
from provisioning.gateway.web.exchange import Exchange

MAX_BYTES = 64 * 1024
"""What is said about keys and users is short."""

MAX_PAGE = 200
DEFAULT_PAGE = 50

Form = TypeVar("Form", bound=BaseModel)


async def read(exchange: Exchange, form: type[Form]) -> Form:
    """Return the body as a `form`; raises Problem INVALID_REQUEST, which names every fault and repeats no value."""
    body = await exchange.json(MAX_BYTES)
    try:
        return form.model_validate(body)
    except ValidationError as error:
        faults = [{"pointer": "/" + "/".join(map(str, item["loc"])), "message": item["msg"]} for item in error.errors()]
        text = "; ".join(f"{item['pointer']}: {item['message']}" for item in faults)
        # The chain is cut: pydantic's own text can quote what it was given.
        raise Problem(Code.INVALID_REQUEST, text, members={"errors": faults}) from None


async def send(exchange: Exchange, document: BaseModel, status: int = 200) -> None:
    """Answer with a document."""
    await exchange.send(status, document.model_dump_json().encode(), [("content-type", "application/json")])


def page_size(query: Mapping[str, str]) -> int:
    """Return how many items the caller wants; raises Problem."""
    text = query.get("limit", str(DEFAULT_PAGE))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MAX_PAGE):
        message = f"limit: a whole number from 1 to {MAX_PAGE}."
        raise Problem(Code.INVALID_REQUEST, message, members=fault("limit", "out of range"))
    return int(text)


def page(items: Sequence[tuple[str, BaseModel]], query: Mapping[str, str]) -> dict[str, Any]:
    """Return the page after the item named in `cursor`; raises Problem for a cursor that names none."""
    size, names = page_size(query), [name for name, _ in items]
    start = 0
    if "cursor" in query:
        if query["cursor"] not in names:
            raise Problem(Code.INVALID_REQUEST, "cursor: one that this list gave.", members=fault("cursor", "unknown"))
        start = names.index(query["cursor"]) + 1
    chosen = items[start : start + size]
    more = start + size < len(items)
    return {
        "items": [document.model_dump(mode="json") for _, document in chosen],
        "next_cursor": chosen[-1][0] if more else None,
    }
