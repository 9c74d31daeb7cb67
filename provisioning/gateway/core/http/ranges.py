"""Which part of a file a request is for, and whether its client has it already (RFC 9110, 13 and 14).

Starlette reads ranges in private methods of `FileResponse`, which opens files by their path; ours may be encrypted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import NamedTuple

from provisioning.gateway.core.problems import Code, Problem

_RANGE = re.compile(r"bytes=\s*([0-9]{0,18})\s*-\s*([0-9]{0,18})\s*", re.ASCII)
_TAG = re.compile(r'(?:W/)?("[^"]*")|(\*)')


class Version(NamedTuple):
    """What tells one state of a file from another."""

    tag: str
    """A strong one, in quotes."""
    modified: float
    """Seconds since the epoch."""
    size: int

    @property
    def date(self) -> datetime:
        """Return the time of the last change, as precise as a header is."""
        return datetime.fromtimestamp(int(self.modified), UTC)

    def headers(self) -> dict[str, str]:
        """Return the headers that tell it."""
        date = format_datetime(self.date, usegmt=True)
        return {"etag": self.tag, "last-modified": date, "accept-ranges": "bytes"}


class Part(NamedTuple):
    """What is to be answered."""

    status: int
    """200, 206 or 304."""
    start: int
    length: int


def select(headers: Mapping[str, str], version: Version) -> Part:
    """Return what to answer; raises Problem RANGE_NOT_SATISFIABLE."""
    if _is_known(headers, version):
        return Part(304, 0, 0)
    whole = Part(200, 0, version.size)
    # Several ranges, and what is no range, are answered with the whole, as the standard allows.
    asked = _RANGE.fullmatch(headers.get("range", ""))
    if asked is None or asked[1] == asked[2] == "" or not _fulfils(headers.get("if-range"), version):
        return whole
    first, last = asked[1], asked[2]
    start = int(first) if first else max(0, version.size - int(last))
    end = min(version.size, int(last) + 1) if first and last else version.size
    if first and last and int(last) < int(first):
        return whole
    if start >= version.size:
        raise Problem(Code.RANGE_NOT_SATISFIABLE, headers=(("content-range", f"bytes */{version.size}"),))
    return Part(206, start, end - start)


def _is_known(headers: Mapping[str, str], version: Version) -> bool:
    if "if-none-match" in headers:
        tags = {found[1] or found[2] for found in _TAG.finditer(headers["if-none-match"])}
        return not tags.isdisjoint({version.tag, "*"})
    since = _date(headers.get("if-modified-since"))
    return since is not None and version.date <= since


def _fulfils(condition: str | None, version: Version) -> bool:
    if condition is None:
        return True
    # A weak tag never matches here.
    return condition == version.tag or _date(condition) == version.date


def _date(text: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
