"""The tables of quota windows, reservations and usage events."""

from __future__ import annotations

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.gateway.core.database.tables import Base, Sequence


class QuotaWindowRow(Base):
    """The used and reserved amounts of a user or key in a day or month."""

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
    """The reservation of a job or upload in progress."""

    __tablename__ = "quota_reservations"

    id: Mapped[str] = mapped_column(primary_key=True)
    """The job's or upload's id."""
    owner: Mapped[str]
    key_id: Mapped[str]
    at: Mapped[int]
    """When the work was accepted, which selects the day and month in which it counts."""
    expires_at: Mapped[int]
    jobs: Mapped[int]
    gpu_ms: Mapped[int]
    images: Mapped[int]
    bytes: Mapped[int]
    usd_micros: Mapped[int]


Index("quota_reservations_by_end", ReservationRow.expires_at)


class UsageEventRow(Base):
    """The use of one measure by a job or upload; a trigger of the database refuses to change or delete it."""

    __tablename__ = "usage_events"
    __table_args__ = (UniqueConstraint("job_id", "kind"),)

    sequence: Mapped[Sequence]
    id: Mapped[str] = mapped_column(unique=True)
    """`<job id>:<kind>`: never changes, so that billing counts it once even when it is exported twice."""
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
