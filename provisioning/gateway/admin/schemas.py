"""Request and response bodies of the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from provisioning.gateway.admin.audit import AuditRecord
from provisioning.gateway.core.http.schemas import DEFAULT_PAGE, MAX_PAGE, AnswerBody, Query, WholeNumber, timestamp


class AuditQuery(Query):
    """Which entries of the audit log to return."""

    limit: WholeNumber = Field(default=DEFAULT_PAGE, ge=1, le=MAX_PAGE, examples=[DEFAULT_PAGE])
    """The largest number of entries to return."""
    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9]{0,18}$")] = Field(default="", examples=["17"])
    """The `next_cursor` of the previous page."""
    target: str | None = Field(default=None, examples=["4fPq9sZ1"])
    """Return only the entries about this key, user or session."""


class AuditEntry(AnswerBody):
    """An entry of the audit log."""

    id: int
    at: datetime
    actor: str
    key_id: str
    act: str
    target: str
    address: str
    request_id: str
    detail: dict[str, Any]

    @classmethod
    def of(cls, record: AuditRecord) -> AuditEntry:
        """Return a stored entry."""
        return cls(
            id=record.sequence, at=timestamp(record.at), actor=record.actor, key_id=record.key_id, act=record.act,
            target=record.target, address=record.address, request_id=record.request_id, detail=dict(record.detail),
        )  # fmt: skip


class AuditPage(AnswerBody):
    """A page of the audit log."""

    items: list[AuditEntry]
    next_cursor: str | None
    """The `cursor` of the next page; null on the last one."""
