"""What a webhook can be told."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """The type of a message."""

    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    JOB_CANCELED = "job.canceled"
    BATCH_FINISHED = "batch.finished"
    TEST = "webhook.test"
    """Sent on request, whatever types were chosen."""


CHOICE = tuple(kind for kind in Kind if kind is not Kind.TEST)
"""What an owner may choose from."""

OF_STATE = {
    "completed": Kind.JOB_SUCCEEDED,
    "failed": Kind.JOB_FAILED,
    "rejected": Kind.JOB_FAILED,
    "cancelled": Kind.JOB_CANCELED,
}
"""By a job's final state."""
