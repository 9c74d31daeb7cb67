"""Queries for lists of jobs: pages of the caller's jobs, by status and by label."""

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
"""The contract's own figures."""

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
        raise ValueError(f"unknown: {', '.join(sorted(unknown))[:100]}; there are {', '.join(STATES)}")
    return given


def statuses_in(text: str) -> set[str]:
    """Return the words of a list with commas."""
    return {word.strip() for word in text.split(",") if word.strip()}


class JobQuery(Query):
    """Which jobs to list; `metadata[name]` is read beside this, since any name may be asked for."""

    limit: WholeNumber = Field(default=DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, examples=[DEFAULT_LIMIT])
    """Jobs per page."""
    status: Annotated[str, AfterValidator(_words)] = Field(default="", examples=["queued,running"])
    """Some of `queued,running,succeeded,canceling,canceled,failed`."""
    cursor: Annotated[WholeNumber | None, WithJsonSchema({"type": ["string", "null"]})] = Field(
        default=None, ge=1, le=2**53, examples=["4711"]
    )
    """The `next_cursor` of the page before."""


@dataclass(frozen=True)
class JobFilter:
    """Which jobs are asked for."""

    statuses: frozenset[str]
    labels: Mapping[str, str]

    @classmethod
    def of(cls, status: str, query: Mapping[str, str]) -> JobFilter:
        """Return the filter of a JobQuery's `status` and of the labels in a whole query."""
        labels = {match[1]: value for name, value in query.items() if (match := _LABEL.fullmatch(name))}
        return cls(frozenset(statuses_in(status) or STATES), labels)

    @property
    def states(self) -> frozenset[JobState]:
        """Return the states that jobs of these statuses are in."""
        return frozenset[JobState]().union(*(states for word, states in STATES.items() if word in self.statuses))

    def fits(self, row: JobRecord) -> bool:
        """Return whether a job is asked for."""
        label = orjson.loads(row.label) if row.label else None
        known = label.items() if isinstance(label, dict) else ()
        status = status_of(row.state, cancelling=bool(row.cancel_requested))
        return status in self.statuses and set(self.labels.items()) <= set(known)
