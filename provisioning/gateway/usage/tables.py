"""What is counted against quotas, what is set aside for work under way, and what was taken."""

from __future__ import annotations

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.gateway.core.database.tables import Base, Sequence


class QuotaWindowRow(Base):
    """A user's or key's day or month."""

    __tablename__ = "quota_windows"

    subject: Mapped[str] = mapped_column(primary_key=True)
    """`user` or `key`."""
    name: Mapped[str] = mapped_column(primary_key=True)
    period: Mapped[str] = mapped_column(primary_key=True)
    start: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    used_jobs: Mapped[int] = mapped_column(server_default="0")
    used_gpu_ms: Mapped[int] = mapped_column(server_default="0")
    used_images: Mapped[int] = mapped_column(server_default="0")
    used_bytes: Mapped[int] = mapped_column(server_default="0")
    used_usd_micros: Mapped[int] = mapped_column(server_default="0")
    reserved_jobs: Mapped[int] = mapped_column(server_default="0")
    reserved_gpu_ms: Mapped[int] = mapped_column(server_default="0")
    reserved_images: Mapped[int] = mapped_column(server_default="0")
    reserved_bytes: Mapped[int] = mapped_column(server_default="0")
    reserved_usd_micros: Mapped[int] = mapped_column(server_default="0")


class ReservationRow(Base):
    """What is set aside for a job or an upload under way."""

    __tablename__ = "quota_reservations"

    id: Mapped[str] = mapped_column(primary_key=True)
    """The job's or upload's id."""
    owner: Mapped[str]
    key_id: Mapped[str]
    at: Mapped[int]
    """When it was accepted: the day and month that it counts in."""
    expires_at: Mapped[int]
    jobs: Mapped[int]
    gpu_ms: Mapped[int]
    images: Mapped[int]
    bytes: Mapped[int]
    usd_micros: Mapped[int]


Index("quota_reservations_by_end", ReservationRow.expires_at)


class UsageEventRow(Base):
    """What a job or an upload took of one measure; the database itself refuses to change or delete one."""

    __tablename__ = "usage_events"
    __table_args__ = (UniqueConstraint("job_id", "kind"),)

    sequence: Mapped[Sequence]
    id: Mapped[str] = mapped_column(unique=True)
    """`<job id>:<kind>`: the same for ever, so that a bill can count it once however often it is sent."""
    job_id: Mapped[str]
    """The job's or upload's id."""
    kind: Mapped[str]
    """A field of Amounts."""
    quantity: Mapped[int]
    owner: Mapped[str]
    key_id: Mapped[str]
    at: Mapped[int]
    """When the work ended."""


Index("usage_events_by_time", UsageEventRow.at)
Index("usage_events_by_owner", UsageEventRow.owner, UsageEventRow.at)
