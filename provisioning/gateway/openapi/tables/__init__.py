"""One Operation for every route, by method and path as the route table has them."""

from __future__ import annotations

from collections.abc import Mapping

from provisioning.gateway.openapi.operation import Operation
from provisioning.gateway.openapi.tables import (
    assets,
    batches,
    events,
    files,
    gateway,
    jobs,
    keys,
    logins,
    machine,
    newer_jobs,
    people,
    prompts,
    shared,
    webhooks,
    workspace,
)

OPERATIONS: Mapping[str, Operation] = {
    **jobs.TABLE,
    **assets.TABLE,
    **batches.TABLE,
    **gateway.TABLE,
    **events.TABLE,
    **keys.TABLE,
    **people.TABLE,
    **logins.TABLE,
    **webhooks.TABLE,
    **prompts.TABLE,
    **files.TABLE,
    **shared.TABLE,
    **machine.TABLE,
    **newer_jobs.TABLE,
    **workspace.TABLE,
}
"""Keyed `METHOD /path`, the path without `/api` for ComfyUI's own; `GET /ws` is the WebSocket."""
