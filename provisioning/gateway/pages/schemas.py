"""The response body that explains an error code."""

from __future__ import annotations

from provisioning.gateway.core.http.schemas import AnswerBody


class ErrorEntry(AnswerBody):
    """An entry of the error catalogue."""

    code: str
    status: int
    title: str
    detail: str
    """The cause and the remedy."""
