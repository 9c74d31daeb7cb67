"""The types of the messages that webhooks send."""

from __future__ import annotations

from enum import StrEnum


class EventType(StrEnum):
    """The type of a message."""

    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    JOB_CANCELED = "job.canceled"
    BATCH_FINISHED = "batch.finished"
    TEST = "webhook.test"
    """Sent on request, regardless of the types that the webhook selects."""


OF_STATE = {
    "completed": EventType.JOB_SUCCEEDED,
    "failed": EventType.JOB_FAILED,
    "rejected": EventType.JOB_FAILED,
    "cancelled": EventType.JOB_CANCELED,
}
"""Event types by a job's final state."""
