"""Request and response schemas of assets in the Comfy API v2."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from provisioning.gateway.assets import repository
from provisioning.gateway.core.http.schemas import AnswerBody

OCTETS = "application/octet-stream"
URL_LIFE = timedelta(days=1)
"""The validity of content URLs as shown in responses; they require the key and in fact last as long as the asset."""

Timestamp = Annotated[
    datetime,
    PlainSerializer(lambda time: time.isoformat(timespec="milliseconds"), return_type=str),
    Field(json_schema_extra={"format": "date-time"}),
]
"""A time in UTC, in ISO 8601 with milliseconds."""


def _is_none(value: object) -> bool:
    return value is None


class V2Body(BaseModel):
    """A request body; unknown members are ignored, as the Comfy API requires."""

    model_config = ConfigDict(
        frozen=True, extra="allow", hide_input_in_errors=True, use_attribute_docstrings=True, defer_build=True
    )


class UploadAsset(V2Body):
    """A file with its metadata."""

    file: bytes = Field(json_schema_extra={"format": "binary"})
    """An image, video or audio file."""
    file_path: str
    """The file's name, optionally with folders."""
    content_type: str = ""
    """The file's media type."""
    expected_hash: str = ""
    """`blake3:` and 64 hexadecimal digits; another hash of the content is refused."""


class AssetFromHash(V2Body):
    """An earlier upload under a new name."""

    hash: str
    """`blake3:` and 64 hexadecimal digits."""
    file_path: str | None = None
    """The new asset's name; the former name when omitted."""


class Asset(AnswerBody):
    """A file of the caller."""

    id: str
    hash: str | None
    size_bytes: int = Field(ge=0)
    content_type: str
    file_path: str | None
    created_at: Timestamp
    url: str
    """URL of the content; requires the API key."""
    url_expires_at: Timestamp
    job_id: str | None = Field(default=None, exclude_if=_is_none)
    """The job that made it; omitted for an upload."""
    created_new: bool | None = Field(default=None, exclude_if=_is_none)
    """Only in the response to an upload: whether the content was new."""

    @classmethod
    def of(cls, asset: repository.Asset, base_url: str, now: int, *, created_new: bool | None = None) -> Asset:
        """Return the document of an asset; `now` is in milliseconds since the epoch."""
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
