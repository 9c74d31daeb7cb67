"""Users and keys that tests create over HTTP."""

from __future__ import annotations

from typing import Any

import httpx

from provisioning.gateway.core.scopes import Role
from tests.unit.gateway.conftest import Gate

KEYS = "/api/gateway/keys"


async def issue(client: httpx.AsyncClient, **order: object) -> dict[str, Any]:
    """Issue a key and return the answer."""
    answer = await client.post(KEYS, json={"name": "bot", **order})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def add_user(gate: Gate, name: str, role: Role = Role.MEMBER, **order: object) -> None:
    """Make a user."""
    answer = await gate.admin.post("/api/gateway/users", json={"name": name, "role": role, **order})
    assert answer.status_code == 201, answer.text
