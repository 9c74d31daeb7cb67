"""The query parameters for lists of jobs: page, status and labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import orjson
from pydantic import AfterValidator, Field, WithJsonSchema

from provisioning.gateway.core.http.schemas import Query, WholeNumber
from provisioning.gateway.jobs.job import JobState
from provisioning.gateway.jobs.repository import JobRecord
from provisioning.gateway.jobs.status import JobStatus, status_of

DEFAULT_LIMIT = 50
MAX_LIMIT = 100
"""Values of the Comfy API."""

STATES: Mapping[JobStatus, frozenset[JobState]] = {
    "queued": frozenset({JobState.ACCEPTED, JobState.DISPATCHING, JobState.QUEUED}),
    "running": frozenset({JobState.RUNNING}),
    "canceling": frozenset({JobState.RUNNING}),
    "succeeded": frozenset({JobState.COMPLETED}),
    "failed": frozenset({JobState.FAILED, JobState.REJECTED}),
    "canceled": frozenset({JobState.CANCELLED}),
    "expired": frozenset(),
}
_LABEL = re.compile(r"metadata\[(.+)\]")


def _words(given: str) -> str:
    if unknown := statuses_in(given) - STATES.keys():
        raise ValueError(f"unknown: {', '.join(sorted(unknown))[:100]}; must be among {', '.join(STATES)}")
    return given


def statuses_in(text: str) -> set[str]:
    """Return the items of a comma-separated list."""
    return {word.strip() for word in text.split(",") if word.strip()}


class JobQuery(Query):
    """Which jobs to list; `metadata[name]` is parsed separately, since the name is arbitrary."""

    limit: WholeNumber = Field(default=DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, examples=[DEFAULT_LIMIT])
    """Jobs per page."""
    status: Annotated[str, AfterValidator(_words)] = Field(default="", examples=["queued,running"])
    """Statuses, separated by commas: `queued,running,succeeded,canceling,canceled,failed`."""
    cursor: Annotated[WholeNumber | None, WithJsonSchema({"type": ["string", "null"]})] = Field(
        default=None, ge=1, le=2**53, examples=["4711"]
    )
    """The `next_cursor` of the previous page."""


@dataclass(frozen=True)
class JobFilter:
    """A filter for jobs by status and labels."""

    statuses: frozenset[str]
    labels: Mapping[str, str]

    @classmethod
    def of(cls, status: str, query: Mapping[str, str]) -> JobFilter:
        """Return the filter for a JobQuery's `status` and for the labels in all query parameters."""
        labels = {match[1]: value for name, value in query.items() if (match := _LABEL.fullmatch(name))}
        return cls(frozenset(statuses_in(status) or STATES), labels)

    @property
    def states(self) -> frozenset[JobState]:
        """Return the states of jobs with these statuses."""
        return frozenset[JobState]().union(*(states for word, states in STATES.items() if word in self.statuses))

    def matches(self, row: JobRecord) -> bool:
        """Return whether a job matches the filter."""
        label = orjson.loads(row.label) if row.label else None
        known = label.items() if isinstance(label, dict) else ()
        status = status_of(row.state, cancelling=bool(row.cancel_requested))
        return status in self.statuses and set(self.labels.items()) <= set(known)
