"""Signed addresses as requests and answers have them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from provisioning.gateway.auth.signed_urls import MAX_SECONDS
from provisioning.gateway.core.http.schemas import AnswerBody, RequestBody


class NewSignedUrl(RequestBody):
    """An address to be signed."""

    url: Annotated[str, StringConstraints(pattern=r"^(https?://[^/?#\s]{1,255})?/[^#\s]{0,2047}$")]
    """Of a file, relative or whole: `/api/v2/assets/{id}/content`, `/view?filename=...`, or as `outputs` say it."""
    seconds: Annotated[int, Field(ge=1, le=MAX_SECONDS)] = 300


class SignedUrl(AnswerBody):
    """An address that opens one file."""

    url: str
    """Relative or whole, as the address that was to be signed."""
    expires_at: datetime
