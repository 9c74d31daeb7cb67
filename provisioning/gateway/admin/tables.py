"""The table of the audit log."""

from __future__ import annotations

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.gateway.core.database.encryption import Sealed
from provisioning.gateway.core.database.tables import Base, Sequence


class AuditRow(Base):
    """An entry of the audit log; a trigger of the database refuses to change or delete one."""

    __tablename__ = "audit"

    sequence: Mapped[Sequence]
    at: Mapped[int]
    actor: Mapped[str]
    key_id: Mapped[str]
    act: Mapped[str]
    target: Mapped[str]
    address: Mapped[str]
    request_id: Mapped[str]
    detail: Mapped[bytes] = mapped_column(Sealed("audit.detail"))
    """A JSON object without secrets."""


Index("audit_by_target", AuditRow.target, AuditRow.sequence)
