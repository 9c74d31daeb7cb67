"""Parsing of expiry times on the command line: a date, or a duration from now."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_SPAN = re.compile(r"(?P<number>[1-9][0-9]{0,4})(?P<unit>[mhdw])", re.ASCII)
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_expiry(text: str, now: datetime) -> datetime | None:
    """Return the time that `text` names: `30d`, `12h`, `2027-01-31`, `2027-01-31T12:00Z`; None for `never`.

    Raises:
        ValueError: The text has none of these forms.
    """
    if text == "never":
        return None
    if match := _SPAN.fullmatch(text):
        return now + timedelta(**{_UNITS[match["unit"]]: int(match["number"])})
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an expiry time: write 30d, 12h, 2027-01-31 or never") from None
    return given if given.tzinfo else given.replace(tzinfo=UTC)
