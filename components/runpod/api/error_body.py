"""Parse and classify error answers in any form.

RunPod documents RFC 9457 (`title`, `status`, `detail`, `errors`). Observed are also `{"error": ...}`, errors as
objects, a missing title, and HTML of the proxy in front of the API. The text is kept in every case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape

from pydantic import JsonValue

from components.runpod.api import errors

UNCERTAIN = frozenset({408, 425})
"""Statuses below 500 after which the request may have taken effect, as it may after any status from 500."""

LONGEST_TEXT = 300
"""Length of the quotation from a text of unknown form, in characters."""

_TEXT_MEMBERS = ("detail", "error", "message", "title", "error_description")
"""Members that contain the text of a refusal, the most specific first."""
_PLACE_MEMBERS = ("path", "loc", "field", "location", "pointer")
_INVISIBLE = re.compile(r"<(script|style|head)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_TITLE = re.compile(r"<title>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_UNKNOWN_ID = re.compile(
    r"\b(pod|resource|volume|template|endpoint|registry|worker|key|id)\b.*(not found|not exist|unknown)", re.IGNORECASE
)


@dataclass(frozen=True)
class ErrorBody:
    """An error answer."""

    text: str
    """Its text; empty when it has none."""
    reasons: tuple[str, ...] = ()
    """One line for each fault it lists."""
    is_json: bool = False
    is_problem: bool = False
    """Whether it has `status` and `detail`, as RunPod documents it."""
    is_firewall: bool = False
    """Whether Cloudflare in front of the API produced the answer."""


def read(body: JsonValue, raw: str) -> ErrorBody:
    """Parse an error answer: `body` is its decoded JSON, or None, and `raw` its text."""
    if not isinstance(body, dict):
        text = _shortened(_visible(raw) if body is None else raw)
        return ErrorBody(text, is_json=body is not None)
    is_problem = isinstance(body.get("status"), int) and isinstance(body.get("detail"), str)
    text = next((found for name in _TEXT_MEMBERS if (found := _text(body.get(name)))), "")
    reasons = tuple(dict.fromkeys(_reasons(body.get("errors"))))
    firewall = body.get("cloudflare_error") is True
    return ErrorBody(text, reasons, is_json=True, is_problem=is_problem, is_firewall=firewall)


def classify(call: str, status: int, said: ErrorBody) -> errors.CallError:
    """Return the error class by what the caller has to do."""
    text = said.text or ("; ".join(said.reasons) if said.reasons else "an answer without a text")
    kind = _kind(status, said)
    return kind(call, f"{text.rstrip('.')} (HTTP {status})", said.reasons if said.text else ())


def _kind(status: int, said: ErrorBody) -> type[errors.CallError]:
    if status >= 500 or status in UNCERTAIN:
        return errors.ServerError
    if status == 403 and (said.is_firewall or not said.is_json):
        return errors.BlockedError
    if status == 404 and not _is_unknown_id(said):
        return errors.NotRunPodError
    return errors.BY_STATUS.get(status, errors.NotRunPodError)


def _is_unknown_id(said: ErrorBody) -> bool:
    """Return whether RunPod reports an unknown id, as opposed to a web server's missing page."""
    if said.is_firewall or not said.is_json:
        return False
    return said.is_problem or _UNKNOWN_ID.search(said.text) is not None


def _text(value: JsonValue) -> str:
    if isinstance(value, str):
        return _shortened(value)
    if isinstance(value, dict):
        return next((found for name in _TEXT_MEMBERS if (found := _text(value.get(name)))), "")
    return ""


def _reasons(value: JsonValue) -> Iterator[str]:
    """Yield one line for each fault: a text, an object with a text and optionally a place, or a map by place."""
    if isinstance(value, str):
        yield _shortened(value)
    elif isinstance(value, list):
        for entry in value:
            yield from [_reason(entry)] if isinstance(entry, dict) else _reasons(entry)
    elif isinstance(value, dict):
        for place, entry in value.items():
            yield from (f"{place}: {reason}" for reason in _reasons(entry))


def _reason(entry: Mapping[str, JsonValue]) -> str:
    place = next((found for name in _PLACE_MEMBERS if (found := _place(entry.get(name)))), "")
    text = _text(dict(entry)) or "no text"
    return f"{place}: {text}" if place else text


def _place(value: JsonValue) -> str:
    if isinstance(value, list):
        return ".".join(str(part) for part in value)
    return value if isinstance(value, str) else ""


def _visible(raw: str) -> str:
    """Return the visible text of an HTML page."""
    title = _TITLE.search(raw)
    text = unescape(_INVISIBLE.sub(" ", raw)).strip()
    return text or (unescape(title[1]) if title else "")


def _shortened(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= LONGEST_TEXT else f"{flat[:LONGEST_TEXT]}…"
