"""Pods that `make pause` deleted, recorded in this checkout for the receipt of `make destroy`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

from stacks.cli.checkout import Checkout
from stacks.cli.reports.receipt import CostItem


def note(checkout: Checkout, pods: Iterable[CostItem], until: datetime) -> None:
    """Record pods that end at this time; an existing record gets the new time."""
    noted = {thing.id: thing for thing in read(checkout)} | {pod.id: replace(pod, until=until) for pod in pods}
    file = _file(checkout)
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".part")
    draft.write_text(json.dumps([asdict(thing) for thing in noted.values()], default=datetime.isoformat))
    draft.replace(file)


def read(checkout: Checkout) -> list[CostItem]:
    """Return the recorded pods; none when the file is missing or damaged."""
    try:
        return [_thing(one) for one in json.loads(_file(checkout).read_text())]
    except (OSError, ValueError, TypeError):
        return []


def forget(checkout: Checkout) -> None:
    """Delete the record, after the environment was deleted."""
    _file(checkout).unlink(missing_ok=True)


def _thing(noted: dict[str, str]) -> CostItem:
    thing = CostItem(**noted)  # type: ignore[arg-type]  # the moments are text yet
    moments = {name: datetime.fromisoformat(noted[name]) for name in ("since", "until") if noted.get(name)}
    return replace(thing, **moments)  # type: ignore[arg-type]


def _file(checkout: Checkout) -> Path:
    return checkout.state / f"{checkout.env}-ended-pods.json"
