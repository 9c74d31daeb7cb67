"""Whose a pod or volume is, and so who may end it. Pure rules, made to err on the side of leaving things alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from stacks.cli.account import Item
from stacks.cli.known import Known


class Standing(StrEnum):
    """What the states say about a thing; each value completes the sentence `it ...`."""

    HELD = "is in the state of a stack"
    BUSY = "may be in the making: an update of its stack is under way"
    ORPHAN = "carries the mark of a stack of ours and is in no state"
    FOREIGN = "carries the mark of a stack that is not known here"
    UNMARKED = "carries no mark of this project"


@dataclass(frozen=True)
class Judged:
    """A thing with its standing."""

    item: Item
    standing: Standing
    stack: str = ""
    """The stack it belongs to, empty when none is known."""

    @property
    def line(self) -> str:
        """One line for a person: what, whose, and what it costs."""
        of = f" ({self.stack})" if self.stack else ""
        return f"{self.item.label}, ${self.item.usd_per_day:.2f}/day: {self.standing}{of}"


def judge(item: Item, known: Known) -> Judged:
    """Say whose a thing is. What a state holds is held, whatever its name says."""
    holder, owner = known.holder_of(item.id), known.stack_of(item.instance)
    if holder:
        return Judged(item, Standing.HELD, holder.name)
    if owner:
        return Judged(item, Standing.BUSY if owner.busy else Standing.ORPHAN, owner.name)
    return Judged(item, Standing.UNMARKED if item.instance is None else Standing.FOREIGN)


def judge_all(items: Iterable[Item], known: Known) -> list[Judged]:
    """Judge everything that exists; a pod whose end RunPod reports does not."""
    return [judge(item, known) for item in items if item.status != "TERMINATED"]


@dataclass(frozen=True)
class Named:
    """What the person who sweeps has named."""

    others: frozenset[str] = frozenset()
    """Pods and all else that is no volume."""
    volumes: frozenset[str] = frozenset()

    def names(self, item: Item) -> bool:
        """Whether this very thing was named, as what it is: a volume's id among the pods names nothing."""
        return item.id in (self.volumes if item.type == "volume" else self.others)

    def unknown(self, ids: Collection[str]) -> list[str]:
        """Names of nothing that exists."""
        return sorted((self.others | self.volumes) - set(ids))


def may_end(judged: Judged, named: Named) -> bool:
    """Whether a sweep may end it: orphans that hold no data, and what was named.

    Never what a state holds or an update makes.
    """
    if judged.standing in {Standing.HELD, Standing.BUSY}:
        return False
    if judged.standing is Standing.ORPHAN and judged.item.type != "volume":
        return True
    return named.names(judged.item)
