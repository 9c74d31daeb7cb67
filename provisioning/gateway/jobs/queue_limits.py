"""How many unfinished jobs there may be: of one key, of its user, and of everybody."""

from __future__ import annotations

from dataclasses import dataclass

from provisioning.gateway.core.problems import Code, Problem


@dataclass(frozen=True)
class QueueLimits:
    """What one caller may have in the queue; None sets no bound of its own."""

    of_key: int | None = None
    of_user: int | None = None

    @property
    def most(self) -> int | None:
        """Return the lower of the two."""
        return min((bound for bound in (self.of_key, self.of_user) if bound is not None), default=None)


UNBOUNDED = QueueLimits()


@dataclass(frozen=True)
class QueueCounts:
    """How many unfinished jobs there are."""

    of_key: int
    of_user: int
    in_all: int


def check(counts: QueueCounts, more: int, limits: QueueLimits, in_all: int) -> None:
    """Refuse jobs that are too many together with those there are; raises Problem QUEUE_FULL, which says for whom."""
    for policy, who, count, most in (
        ("queueperkey", "this key", counts.of_key, limits.of_key),
        ("queueperowner", "this user", counts.of_user, limits.of_user),
        ("queue", "the queue", counts.in_all, in_all),
    ):
        if most is not None and count + more > most:
            text = f"{more} more would be too many: {who} has {count} unfinished jobs; {most} are allowed."
            raise Problem(Code.QUEUE_FULL, text, members={"violated-policies": [policy]})
