"""Which files may be uploaded: by their first bytes, which must fit the ending of their name."""

from __future__ import annotations

from collections.abc import Mapping

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


def is_accepted(filename: str, head: bytes) -> bool:
    """Return whether a file of this name may begin with these bytes (at least 12): no markup, no script, no pickle."""
    kind = _ENDINGS.get(filename.rpartition(".")[2].lower(), "")
    if kind == "mp3" and head.startswith(_MP3_FRAMES):
        return True
    return kind in _MAGIC and all(head[at : at + len(magic)] == magic for at, magic in _MAGIC[kind])
