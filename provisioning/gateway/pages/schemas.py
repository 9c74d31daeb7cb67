"""The answer that explains an error code to programs."""

from __future__ import annotations

from provisioning.gateway.core.http.schemas import AnswerBody


class ErrorEntry(AnswerBody):
    """An entry of the error catalogue."""

    code: str
    status: int
    title: str
    detail: str
    """How to avoid or mend it."""
