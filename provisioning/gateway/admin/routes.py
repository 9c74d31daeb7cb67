"""The operation that shows the audit log."""

from __future__ import annotations

from provisioning.gateway.admin import audit
from provisioning.gateway.admin.schemas import AuditEntry, AuditPage, AuditQuery
from provisioning.gateway.core.database.database import Database
from provisioning.gateway.core.http.operation import Answer, Operation, Tag
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.scopes import Scope

ENTRY = {
    "id": 17,
    "at": "2026-11-22T10:00:00Z",
    "actor": "admin",
    "key_id": "9aBcD3fG",
    "act": "key.revoked",
    "target": "4fPq9sZ1",
    "address": "203.0.113.9",
    "request_id": f"req_{'0f' * 16}",
    "detail": {"name": "discord bot"},
}


class AuditRoutes:
    """Lets admins read the audit log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @Operation(
        method="GET",
        path="/api/gateway/audit",
        access=Scope.ADMIN,
        tag=Tag.ACCESS,
        summary="Read the audit log",
        text="An entry is written in the transaction of its change; the database refuses to change or delete entries.",
        query=AuditQuery,
        answers=(Answer("A page of entries, newest first.", AuditPage, {"items": [ENTRY], "next_cursor": None}),),
    )
    async def list(self, request: GatewayRequest, query: AuditQuery) -> AuditPage:  # noqa: ARG002 - the form of a handler
        """List the entries, newest first."""
        before = int(query.cursor) if query.cursor else None
        found = await audit.page(self._database, before=before, limit=query.limit + 1, target=query.target)
        shown = found[: query.limit]
        return AuditPage(
            items=[AuditEntry.of(record) for record in shown],
            next_cursor=str(shown[-1].sequence) if len(found) > query.limit else None,
        )
