"""Ownership of pods and volumes, which decides what may be deleted. Pure rules; in doubt a resource is kept."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from stacks.cli.account.account_items import AccountItem
from stacks.cli.pulumi.stack_index import StackIndex


class Ownership(StrEnum):
    """Ownership of a resource according to the states; each value completes the sentence `it ...`."""

    HELD = "is in the state of a stack"
    BUSY = "may be under creation: an update of its stack is running"
    ORPHAN = "has the marker of a known stack and is in no state"
    FOREIGN = "has the marker of an unknown stack"
    UNMARKED = "has no marker of this project"


@dataclass(frozen=True)
class OwnedItem:
    """An item with its ownership."""

    item: AccountItem
    ownership: Ownership
    stack: str = ""
    """The stack it belongs to; empty when unknown."""

    @property
    def line(self) -> str:
        """One line with the resource, its owner and its cost."""
        of = f" ({self.stack})" if self.stack else ""
        return f"{self.item.label}, ${self.item.usd_per_day:.2f}/day: {self.ownership}{of}"


def classify(item: AccountItem, known: StackIndex) -> OwnedItem:
    """Return a resource's ownership. A resource in a state is owned by that stack, whatever its name is."""
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
class ResourceSelection:
    """Resources named on the command line of `make sweep`."""

    others: frozenset[str] = frozenset()
    """Ids of pods and of all other resources except volumes."""
    volumes: frozenset[str] = frozenset()

    def names(self, item: AccountItem) -> bool:
        """Return whether this resource was named under its own type; a volume's id among the pods does not count."""
        return item.id in (self.volumes if item.type == "volume" else self.others)

    def unknown(self, ids: Collection[str]) -> list[str]:
        """Return the named ids that do not exist."""
        return sorted((self.others | self.volumes) - set(ids))


def may_delete(owned: OwnedItem, named: ResourceSelection) -> bool:
    """Return whether `make sweep` may delete it: orphans without data, and named resources.

    A resource that is in a state or that an update may be creating is never deleted.
    """
    if owned.ownership in {Ownership.HELD, Ownership.BUSY}:
        return False
    if owned.ownership is Ownership.ORPHAN and owned.item.type != "volume":
        return True
    return named.names(owned.item)
