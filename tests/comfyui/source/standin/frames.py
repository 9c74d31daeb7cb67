"""Binary frames: previews in the two forms that ComfyUI sends over the socket."""

from __future__ import annotations

import json
import struct
from io import BytesIO
from typing import Any

from PIL import Image

_PREVIEW = 1
_PREVIEW_WITH_METADATA = 4
_JPEG = 1


def preview(picture: Image.Image) -> bytes:
    """Return a frame of type 1: it says nothing of job or node."""
    return struct.pack(">II", _PREVIEW, _JPEG) + _jpeg(picture)


def preview_with_metadata(picture: Image.Image, metadata: dict[str, Any]) -> bytes:
    """Return a frame of type 4, which begins with JSON."""
    text = json.dumps(metadata | {"image_type": "image/jpeg"}).encode()
    return struct.pack(">II", _PREVIEW_WITH_METADATA, len(text)) + text + _jpeg(picture)


def _jpeg(picture: Image.Image) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, format="JPEG", quality=95)
    return buffer.getvalue()
