"""Requests about webhooks."""

from __future__ import annotations

from typing import Any

import httpx

HOOKS = "/api/gateway/webhooks"
DELIVERIES = "/api/gateway/webhook-deliveries"


async def create(client: httpx.AsyncClient, url: str, **more: object) -> dict[str, Any]:
    answer = await client.post(HOOKS, json={"url": url, **more})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())
