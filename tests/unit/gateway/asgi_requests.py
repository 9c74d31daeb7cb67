"""Requests sent to the ASGI app in raw bytes, past any client library."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from tests.unit.gateway.conftest import Gate


async def raw_request(gate: Gate, raw_path: bytes, headers: list[tuple[bytes, bytes]], method: str = "GET") -> int:
    """Send a request in the bytes that a client library would tidy up, and return the status."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": method, "raw_path": raw_path, "path": raw_path.decode("latin-1"), "query_string": b"",
        "headers": headers, "client": ("203.0.113.9", 1234), "scheme": "http", "http_version": "1.1",
    }  # fmt: skip
    await gate.app(scope, receive, send)
    return int(sent[0]["status"])


def bearer(gate: Gate) -> tuple[bytes, bytes]:
    return (b"authorization", f"Bearer {gate.keyring.admin}".encode())
