"""Problem documents in answers."""

from __future__ import annotations

import httpx


def code(answer: httpx.Response) -> tuple[int, str]:
    """Return an error's status and code."""
    return answer.status_code, answer.json()["code"]
