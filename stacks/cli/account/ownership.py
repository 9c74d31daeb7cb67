"""Ownership of pods and volumes, which decides who may delete them. Pure rules; in doubt a resource is kept."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from stacks.cli.account.account_items import AccountItem
from stacks.cli.pulumi.stack_index import StackIndex


class Ownership(StrEnum):
    """Ownership of a resource according to the states; each value completes the sentence `it ...`."""

    HELD = "is in the state of a stack"
    BUSY = "may be in creation: an update of its stack is running"
    ORPHAN = "carries the mark of a known stack and is in no state"
    FOREIGN = "carries the mark of an unknown stack"
    UNMARKED = "carries no mark of this project"


@dataclass(frozen=True)
class OwnedItem:
    """An item with its ownership."""

    item: AccountItem
    ownership: Ownership
    stack: str = ""
    """The stack it belongs to, empty when none is known."""

    @property
    def line(self) -> str:
        """One line with the resource, its owner and its cost."""
        of = f" ({self.stack})" if self.stack else ""
        return f"{self.item.label}, ${self.item.usd_per_day:.2f}/day: {self.ownership}{of}"


def classify(item: AccountItem, known: StackIndex) -> OwnedItem:
    """Return a resource's ownership. What a state contains is owned, whatever its name says."""
    holder, owner = known.holder_of(item.id), known.stack_of(item.instance)
    if holder:
        return OwnedItem(item, Ownership.HELD, holder.name)
    if owner:
        return OwnedItem(item, Ownership.BUSY if owner.busy else Ownership.ORPHAN, owner.name)
    return OwnedItem(item, Ownership.UNMARKED if item.instance is None else Ownership.FOREIGN)


def classify_all(items: Iterable[AccountItem], known: StackIndex) -> list[OwnedItem]:
    """Return the ownership of every existing resource; terminated pods are left out."""
    return [classify(item, known) for item in items if item.status != "TERMINATED"]


@dataclass(frozen=True)
class Selection:
    """Resources named on the command line of `make sweep`."""

    others: frozenset[str] = frozenset()
    """Pods and all else that is no volume."""
    volumes: frozenset[str] = frozenset()

    def names(self, item: AccountItem) -> bool:
        """Whether this resource was named under its own type; a volume's id among the pods does not count."""
        return item.id in (self.volumes if item.type == "volume" else self.others)

    def unknown(self, ids: Collection[str]) -> list[str]:
        """Named ids that do not exist."""
        return sorted((self.others | self.volumes) - set(ids))


def may_delete(owned: OwnedItem, named: Selection) -> bool:
    """Whether `make sweep` may delete it: orphans without data, and named resources.

    Never what a state holds or an update makes.
    """
    if owned.ownership in {Ownership.HELD, Ownership.BUSY}:
        return False
    if owned.ownership is Ownership.ORPHAN and owned.item.type != "volume":
        return True
    return named.names(owned.item)
