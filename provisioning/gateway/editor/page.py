"""The Content-Security-Policy of the editor's page."""

from __future__ import annotations

import base64
import hashlib
import re

_INLINE_SCRIPT = re.compile(rb'<script(?: type="importmap")?>(.*?)</script>', re.DOTALL)
"""Older editors have an import map, which the policy treats like a script."""

# The editor compiles expressions of its widgets and keeps images as blobs; it may connect to the gateway only.
POLICY = (
    "default-src 'none'; base-uri 'self'; connect-src 'self' blob: data:; font-src 'self' data:; form-action 'none'; "
    "frame-ancestors 'none'; img-src 'self' blob: data:; manifest-src 'self'; media-src 'self' blob: data:; "
    "style-src 'self' 'unsafe-inline'; worker-src 'self' blob:; script-src 'self' blob: 'unsafe-eval'"
)
"""The Content-Security-Policy of the editor's files."""


def content_security_policy(page: bytes) -> str:
    """Return the Content-Security-Policy of a page, which allows its inline scripts."""
    return POLICY + "".join(f" '{_hash(script)}'" for script in _INLINE_SCRIPT.findall(page))


def _hash(script: bytes) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}"
