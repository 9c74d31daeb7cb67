"""Whether an uploaded picture is one, and how large it gets when it is unpacked.

A file of some kilobytes can hold a picture that takes all memory once it is read ("decompression bomb"). Only headers
and checksums are looked at here, never the pixels, and off the event loop.
"""

from __future__ import annotations

import asyncio
from typing import IO

from PIL import Image, UnidentifiedImageError

from provisioning.gateway.core.problems import Code, Problem

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
"""Pillow's names of the kinds that core.http.media_types takes; its other readers are never started."""

# Pillow's own guard is one number for the whole process, and warns before it refuses; ours is a setting.
Image.MAX_IMAGE_PIXELS = None


async def check(file: IO[bytes], max_pixels: int) -> None:
    """Refuse a picture that is broken or too large; raises Problem INVALID_IMAGE or IMAGE_TOO_MANY_PIXELS."""
    await asyncio.to_thread(_check, file, max_pixels)


def _check(file: IO[bytes], max_pixels: int) -> None:
    file.seek(0)
    try:
        with Image.open(file, formats=FORMATS) as picture:
            _check_size(picture, max_pixels)
            picture.verify()
    # Its readers fail in many ways over files that are made to be wrong.
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError) as error:
        raise Problem(Code.INVALID_IMAGE) from error


def _check_size(picture: Image.Image, max_pixels: int) -> None:
    width, height = picture.size
    # Frames in the header alone: counting a GIF's would mean reading them.
    frames = 1 if picture.format == "GIF" else max(1, getattr(picture, "n_frames", 1))
    if width * height * frames > max_pixels:
        text = f"The picture has {width} x {height} pixels in {frames} frames; {max_pixels} pixels are allowed."
        raise Problem(Code.IMAGE_TOO_MANY_PIXELS, text)
