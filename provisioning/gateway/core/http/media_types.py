"""Which files may be uploaded: by their first bytes, which must fit the ending of their name."""

from __future__ import annotations

from collections.abc import Mapping

from provisioning.gateway.core.http import images
from provisioning.gateway.core.http.multipart import Form
from provisioning.gateway.core.problems import Code, Problem

_MAGIC: Mapping[str, tuple[tuple[int, bytes], ...]] = {
    "png": ((0, b"\x89PNG\r\n\x1a\n"),),
    "jpeg": ((0, b"\xff\xd8\xff"),),
    "webp": ((0, b"RIFF"), (8, b"WEBP")),
    "gif": ((0, b"GIF8"),),
    "bmp": ((0, b"BM"),),
    "mp4": ((4, b"ftyp"),),
    "webm": ((0, b"\x1aE\xdf\xa3"),),
    "wav": ((0, b"RIFF"), (8, b"WAVE")),
    "flac": ((0, b"fLaC"),),
    "ogg": ((0, b"OggS"),),
    "mp3": ((0, b"ID3"),),
}
"""Every (offset, bytes) pair must match."""

_ENDINGS: Mapping[str, str] = {
    "png": "png", "jpg": "jpeg", "jpeg": "jpeg", "webp": "webp", "gif": "gif", "bmp": "bmp", "mp4": "mp4", "m4v": "mp4",
    "mov": "mp4", "m4a": "mp4", "webm": "webm", "mkv": "webm", "wav": "wav", "flac": "flac", "ogg": "ogg",
    "opus": "ogg", "mp3": "mp3",
}  # fmt: skip

_MP3_FRAMES = (b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")


_TYPES: Mapping[str, str] = {
    "png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "gif": "image/gif", "bmp": "image/bmp",
    "mp4": "video/mp4", "webm": "video/webm", "wav": "audio/wav", "flac": "audio/flac", "ogg": "audio/ogg",
    "mp3": "audio/mpeg",
}  # fmt: skip


def media_type(filename: str, head: bytes) -> str:
    """Return what a file of this name is that begins with these bytes (at least 12), by those bytes.

    Raises Problem for all that is not a picture, film or sound in keeping with its name: no markup, script or pickle.
    """
    kind = _ENDINGS.get(filename.rpartition(".")[2].lower(), "")
    fits = kind in _MAGIC and all(head[at : at + len(magic)] == magic for at, magic in _MAGIC[kind])
    if not fits and not (kind == "mp3" and head.startswith(_MP3_FRAMES)):
        message = "Send an image, video or sound whose content fits its name's ending."
        raise Problem(Code.UNSUPPORTED_MEDIA_TYPE, message)
    return _TYPES[kind]


async def check(filename: str, form: Form, max_pixels: int) -> str:
    """Return the media type of an uploaded file; raises Problem when it may not be kept."""
    found = media_type(filename, form.head())
    if found.startswith("image/"):
        await images.check(form.file, max_pixels)
    return found
