"""Binary frames: previews in the two forms that ComfyUI sends over the socket."""

from __future__ import annotations

import json
import struct
from io import BytesIO
from typing import Any

from PIL import Image

_PREVIEW = 1
_PREVIEW_WITH_METADATA = 4
_FORMATS = {"JPEG": 1, "PNG": 2}


def preview(picture: Image.Image, form: str) -> bytes:
    """Return a frame of type 1: it says nothing of job or node. `form` is JPEG or PNG."""
    return struct.pack(">II", _PREVIEW, _FORMATS[form]) + _encoded(picture, form)


def preview_with_metadata(picture: Image.Image, form: str, metadata: dict[str, Any]) -> bytes:
    """Return a frame of type 4, which begins with JSON."""
    text = json.dumps(metadata | {"image_type": f"image/{form.lower()}"}).encode()
    return struct.pack(">II", _PREVIEW_WITH_METADATA, len(text)) + text + _encoded(picture, form)


def _encoded(picture: Image.Image, form: str) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, format=form, **({"quality": 95} if form == "JPEG" else {"compress_level": 1}))
    return buffer.getvalue()
