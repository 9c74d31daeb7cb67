"""Request and response bodies of signed URLs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from provisioning.gateway.auth.signed_urls import MAX_SECONDS
from provisioning.gateway.core.http.schemas import AnswerBody, RequestBody


class NewSignedUrl(RequestBody):
    """A URL to sign."""

    url: Annotated[str, StringConstraints(pattern=r"^(https?://[^/?#\s]{1,255})?/[^#\s]{0,2047}$")]
    """A file's URL, relative or absolute: `/api/v2/assets/{id}/content`, `/view?filename=...`, or from `outputs`."""
    seconds: Annotated[int, Field(ge=1, le=MAX_SECONDS)] = 300


class SignedUrl(AnswerBody):
    """A URL that opens one file."""

    url: str
    """Relative or absolute, like the URL that was signed."""
    expires_at: datetime
