"""Limits on unfinished jobs: of one key, of its user, and of all users."""

from __future__ import annotations

from dataclasses import dataclass

from provisioning.gateway.core.problems import Code, Problem


@dataclass(frozen=True)
class QueueLimits:
    """The limits of one caller; None means no limit."""

    of_key: int | None = None
    of_user: int | None = None

    @property
    def most(self) -> int | None:
        """Return the lower of the two."""
        return min((bound for bound in (self.of_key, self.of_user) if bound is not None), default=None)


UNBOUNDED = QueueLimits()


@dataclass(frozen=True)
class QueueCounts:
    """The numbers of unfinished jobs."""

    of_key: int
    of_user: int
    in_all: int


def check(counts: QueueCounts, more: int, limits: QueueLimits, in_all: int) -> None:
    """Check that `more` jobs fit; raises Problem QUEUE_FULL, which names the exceeded limit."""
    for policy, who, count, most in (
        ("queueperkey", "this key", counts.of_key, limits.of_key),
        ("queueperowner", "this user", counts.of_user, limits.of_user),
        ("queue", "the queue", counts.in_all, in_all),
    ):
        if most is not None and count + more > most:
            text = f"Cannot add {more}: {who} has {count} unfinished jobs; {most} are allowed."
            raise Problem(Code.QUEUE_FULL, text, members={"violated-policies": [policy]})
