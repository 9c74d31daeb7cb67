"""What the account holds of one environment: by its marks, by its state, by its stack file and by its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from components.naming import physical
from components.runpod.marker import split_name
from components.runpod.plugin import unused
from stacks.cli import account, known, stack
from stacks.cli.account import Item
from stacks.cli.engine import Engine
from stacks.cli.place import PROJECT, Place


@dataclass(frozen=True)
class Claim:
    """How to recognise what is an environment's."""

    env: str
    marks: frozenset[str] = frozenset()
    """Instance ids, those of earlier instances too where they are known."""
    ids: frozenset[str] = frozenset()
    """Ids in the state."""
    taken: frozenset[str] = frozenset()
    """Volumes it uses and did not make: `volume.id`."""

    def owns(self, item: Item) -> bool:
        """Return whether a thing was made for it and exists."""
        return item.status != "TERMINATED" and (item.instance in self.marks or item.id in self.ids)

    def uses(self, item: Item) -> bool:
        """Return whether it is a volume taken by `volume.id`."""
        return item.id in self.taken and not self.owns(item)

    def resembles(self, item: Item) -> bool:
        """Return whether a volume carries the environment's name and a mark that is not known here.

        An earlier instance kept it, or a colleague has an environment of the same name.
        """
        return item.type == "volume" and not self.owns(item) and not self.uses(item) and carries(self.env, item.name)


def carries(env: str, name: str) -> bool:
    """Return whether a physical name was made for this very environment: `dev` is not in `comfyui-dev-2-gpu-...`."""
    base, marker = split_name(unused.untagged(name))
    return marker is not None and base.rpartition("-")[0] == physical(env, "").removesuffix("-")


def claim(engine: Engine, state: Mapping[str, Any]) -> Claim:
    """Return how to recognise what belongs to the environment with this state."""
    place = engine.place
    marks = stack.instance_ids(state) | known.past_instances(place.env, engine.environ)
    kinds = (stack.POD, stack.VOLUME)
    ids = (str(item["id"]) for kind in kinds for item in stack.resources(state, kind) if item.get("id"))
    mounted = ((item.get("inputs") or {}).get("networkVolumeId") for item in stack.resources(state, stack.POD))
    taken = {str(volume) for volume in (*mounted, volume_section(place).get("id")) if volume}
    return Claim(place.env, frozenset(marks), frozenset(ids), frozenset(taken))


def volume_section(place: Place) -> dict[str, Any]:
    """Return the stack file's `volume`, as it stands there now."""
    section = (place.stack_yaml().get("config") or {}).get(f"{PROJECT}:volume")
    return section if isinstance(section, dict) else {}


def look(engine: Engine, claimed: Claim) -> list[Item]:
    """Return everything of it that exists, what it only uses included; raises CliError when RunPod cannot be asked."""
    with account.api(engine) as client:
        items = account.look(client, dict.fromkeys(claimed.marks, engine.place.env))
    return [item for item in items if claimed.owns(item) or claimed.uses(item) or claimed.resembles(item)]


def usd_per_hour(items: Iterable[Item]) -> float:
    """Return what they cost together."""
    return sum(item.usdPerHour for item in items)
