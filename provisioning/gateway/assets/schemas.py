"""Assets as requests and answers of the Comfy API v2 have them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from provisioning.gateway.assets import repository
from provisioning.gateway.core.http.schemas import AnswerBody

OCTETS = "application/octet-stream"
URL_LIFE = timedelta(days=1)
"""How long answers say that a content URL lasts: it needs the key all the same, and lasts as long as the asset."""

Timestamp = Annotated[
    datetime,
    PlainSerializer(lambda time: time.isoformat(timespec="milliseconds"), return_type=str),
    Field(json_schema_extra={"format": "date-time"}),
]
"""A time in UTC, in ISO 8601 with milliseconds."""


def _is_none(value: object) -> bool:
    return value is None


class V2Body(BaseModel):
    """A request's body; members that are not named here are ignored, as the contract wants."""

    model_config = ConfigDict(
        frozen=True, extra="allow", hide_input_in_errors=True, use_attribute_docstrings=True, defer_build=True
    )


class UploadAsset(V2Body):
    """A file and what is known of it."""

    file: bytes = Field(json_schema_extra={"format": "binary"})
    """An image, video or sound."""
    file_path: str
    """Its name, with folders if you like."""
    content_type: str = ""
    """Its media type."""
    expected_hash: str = ""
    """`blake3:` and 64 hexadecimal digits; refused when another."""


class AssetFromHash(V2Body):
    """Bytes that were uploaded before, under a new name."""

    hash: str
    """`blake3:` and 64 hexadecimal digits."""
    file_path: str | None = None
    """The new asset's name; the same as before when left out."""


class Asset(AnswerBody):
    """A file of the caller's."""

    id: str
    hash: str | None
    size_bytes: int = Field(ge=0)
    content_type: str
    file_path: str | None
    created_at: Timestamp
    url: str
    """Where the bytes are; it needs the key."""
    url_expires_at: Timestamp
    job_id: str | None = Field(default=None, exclude_if=_is_none)
    """The job that made it; left out for an upload."""
    created_new: bool | None = Field(default=None, exclude_if=_is_none)
    """On creation alone: whether the bytes were new."""

    @classmethod
    def of(cls, asset: repository.Asset, base_url: str, now: int, *, created_new: bool | None = None) -> Asset:
        """Return an asset as it is at a time in milliseconds since the epoch."""
        return cls(
            id=asset.id,
            hash=asset.hash,
            size_bytes=asset.size_bytes or 0,
            content_type=asset.content_type or OCTETS,
            file_path=asset.file_path,
            created_at=datetime.fromtimestamp(asset.created_at / 1000, UTC),
            url=f"{base_url}/api/v2/assets/{asset.id}/content",
            url_expires_at=datetime.fromtimestamp(now / 1000, UTC) + URL_LIFE,
            job_id=asset.job_id,
            created_new=created_new,
        )
