"""Quotas and usage of jobs."""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass

from sqlalchemy import Connection

from provisioning.contract.gateway_options import Options
from provisioning.gateway.jobs.job import Job, JobOutcome, JobState, usd_micros
from provisioning.gateway.usage import ledger
from provisioning.gateway.usage.reservation import RESERVATION_MS, BillingSubject, Reservation
from provisioning.gateway.usage.units import Amounts


@dataclass(frozen=True)
class JobQuotas:
    """Reserves quota for new jobs and records their usage at the end."""

    usd_per_hour: float
    reserved_gpu_ms: int = 60_000
    reserved_images: int = 1

    @classmethod
    def of(cls, options: Options, usd_per_hour: float) -> JobQuotas:
        """Return the instance for these options; `usd_per_hour`: the pod's price."""
        return cls(usd_per_hour, round(options.reserved_gpu_seconds * 1000), options.reserved_images)

    def reserve(self, connection: Connection, job: Job) -> None:
        """Reserve quota for a new job; raises Problem QUOTA_EXCEEDED or QUOTA_EXHAUSTED."""
        cost = usd_micros(self.reserved_gpu_ms, self.usd_per_hour)
        wanted = Amounts(jobs=1, gpu_ms=self.reserved_gpu_ms, images=self.reserved_images, usd_micros=cost)
        ledger.reserve(
            connection, Reservation(job.id, _account(job), wanted, job.quotas, job.submitted_at + RESERVATION_MS)
        )

    def release(self, connection: Connection, job: Job) -> None:
        """Release the reservation of a job that will not run."""
        ledger.release(connection, job.id)

    def settle(self, connection: Connection, job: Job, outcome: JobOutcome) -> None:
        """Record the usage of a finished job; a job that never ran used nothing."""
        if outcome.state is JobState.REJECTED or outcome.started_at is None:
            self.release(connection, job)
            return
        cost = usd_micros(outcome.gpu_ms, self.usd_per_hour)
        taken = Amounts(jobs=1, gpu_ms=outcome.gpu_ms, images=_images(outcome), usd_micros=cost)
        ledger.settle(connection, job.id, _account(job), taken, outcome.finished_at)


def _account(job: Job) -> BillingSubject:
    return BillingSubject(job.owner, job.key_id, job.submitted_at)


def _images(outcome: JobOutcome) -> int:
    kept = (output.file.filename for output in outcome.files if output.file.type == "output")
    return sum((mimetypes.guess_type(name)[0] or "").startswith("image/") for name in kept)
