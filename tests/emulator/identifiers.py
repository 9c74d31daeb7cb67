"""Ids in RunPod's format."""

from __future__ import annotations

import secrets
import string

IDENTIFIER = string.ascii_lowercase + string.digits


def new_id(length: int = 14) -> str:
    """Return a random id in RunPod's form."""
    return "".join(secrets.choice(IDENTIFIER) for _ in range(length))
