"""The format of an API key: `cgw_live_` + 8 characters of id + 32 of secret + 6 of CRC-32, all base 62."""

from __future__ import annotations

import hmac
import re
import secrets
import string
import zlib

PREFIX = "cgw_live_"
"""Lets secret scanners recognise a key that was published by mistake."""

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
ID_LENGTH = 8
SECRET_LENGTH = 32
"""Base 62 characters, 190 bits: a fast hash is enough for storage."""
CHECKSUM_LENGTH = 6

_PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
"""All pairs of digits: two digits at a time make the checksum fast, which every request with a key computes."""

_FORM = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{ID_LENGTH + SECRET_LENGTH + CHECKSUM_LENGTH}}}", re.ASCII)


def mint(key_id: str | None = None) -> str:
    """Return a new key, or a new secret for the key with this id."""
    name = key_id or _random(ID_LENGTH)
    body = PREFIX + name + _random(SECRET_LENGTH)
    return body + checksum(body)


def hint(token: str) -> str:
    """Return the part of a key that may always be shown: its id and the last four characters of its checksum."""
    return f"{token[: len(PREFIX) + ID_LENGTH]}...{token[-4:]}"


def checksum(body: str) -> str:
    """Return the six base 62 digits of the CRC-32 over prefix, id and secret."""
    rest, low = divmod(zlib.crc32(body.encode()), len(_PAIRS))
    high, middle = divmod(rest, len(_PAIRS))
    return _PAIRS[high] + _PAIRS[middle] + _PAIRS[low]


def key_id(token: str) -> str | None:
    """Return the id in a well-formed key, else None; needs no look-up, so it stops typing errors and most guesses."""
    if not _FORM.fullmatch(token) or checksum(token[:-CHECKSUM_LENGTH]) != token[-CHECKSUM_LENGTH:]:
        return None
    return token[len(PREFIX) : len(PREFIX) + ID_LENGTH]


def digest(pepper: str, token: str) -> bytes:
    """Return the keyed hash of a key that is stored (HMAC-SHA256)."""
    return hmac.digest(pepper.encode(), token.encode(), "sha256")


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))
