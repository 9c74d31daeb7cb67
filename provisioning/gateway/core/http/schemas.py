"""The bases of the models of requests and answers, and of lists in pages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from provisioning.gateway.core.problems import Code, Problem, fault

DEFAULT_PAGE = 50
MAX_PAGE = 200
DEFAULT_ROWS = 20
MAX_ROWS = 100

Item = TypeVar("Item")

UserName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$")]
Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
LabelValue = Annotated[str, StringConstraints(max_length=256)]
Labels = Annotated[dict[Label, LabelValue], Field(max_length=32)]
"""The labels of a key or a user."""


class RequestBody(BaseModel):
    """A request's body; an unknown member is an error, since it may be a misspelt name of a known one."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True, defer_build=True
    )


class Query(BaseModel):
    """A request's query; unknown parameters are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, use_attribute_docstrings=True)


class AnswerBody(BaseModel):
    """An answer: it has these members and no others."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, defer_build=True)


def _digits(given: object) -> object:
    """Refuse spaces, signs, underscores and other scripts' digits, which `int` accepts."""
    if isinstance(given, str) and not (given.isascii() and given.isdigit() and len(given) <= 16):
        raise ValueError("a whole number in decimal digits")
    return given


WholeNumber = Annotated[int, BeforeValidator(_digits)]
"""A whole number from 0 on in a query."""


class PageQuery(Query):
    """Which page of a list to return."""

    limit: WholeNumber = Field(default=DEFAULT_PAGE, ge=1, le=MAX_PAGE, examples=[DEFAULT_PAGE])
    """The largest number of items to return."""
    cursor: str | None = Field(default=None, examples=["4fPq9sZ1"])
    """The `next_cursor` of the page before."""


class RowQuery(Query):
    """Which page of a list that is ordered by its rows' numbers, newest first."""

    limit: WholeNumber = Field(default=DEFAULT_ROWS, ge=1, examples=[DEFAULT_ROWS])
    """Items per page; more than 100 are never given."""
    cursor: Annotated[WholeNumber | None, WithJsonSchema({"type": ["string", "null"]})] = Field(
        default=None, ge=1, examples=["4711"]
    )
    """The `next_cursor` of the page before."""

    @property
    def page_size(self) -> int:
        """Return how many rows to read."""
        return min(self.limit, MAX_ROWS)

    @property
    def before(self) -> int:
        """Return the row number below which the page begins."""
        return self.cursor or 2**53

    def next_cursor(self, rows: Sequence[int]) -> str | None:
        """Return the cursor of the page after the one with these row numbers; None when there is none."""
        return str(rows[-1]) if len(rows) == self.page_size else None


IsoTime = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""A time in ISO 8601, UTC, in milliseconds, as `iso_time` writes it."""


def iso_time(milliseconds: float) -> IsoTime:
    """Return a time in milliseconds since the epoch in ISO 8601."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")


def optional_iso_time(milliseconds: float | None) -> IsoTime | None:
    """Return a time as `iso_time` does; None for none."""
    return None if milliseconds is None else iso_time(milliseconds)


def page_of(items: Sequence[tuple[str, Item]], query: PageQuery) -> tuple[list[Item], str | None]:
    """Return the items after the one whose id is the cursor, and the next cursor; raises Problem for an unknown one."""
    ids = [item_id for item_id, _ in items]
    start = 0
    if query.cursor is not None:
        if query.cursor not in ids:
            raise Problem(Code.INVALID_REQUEST, "cursor: one that this list gave.", members=fault("cursor", "unknown"))
        start = ids.index(query.cursor) + 1
    chosen = items[start : start + query.limit]
    more = start + query.limit < len(items)
    return [item for _, item in chosen], chosen[-1][0] if more else None


def timestamp(milliseconds: int) -> datetime:
    """Return a time in milliseconds since the epoch as answers write it."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def optional_timestamp(milliseconds: int | None) -> datetime | None:
    """Return a time as `timestamp` does; None for none."""
    return None if milliseconds is None else timestamp(milliseconds)
