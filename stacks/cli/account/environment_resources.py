"""Finds the resources of one environment by marker, state, stack file and name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from components.naming import PROJECT, physical
from components.runpod.marker import split_name
from components.runpod.plugin.volumes import unused_tag
from stacks.cli.account import account_items
from stacks.cli.account.account_items import AccountItem
from stacks.cli.checkout import Checkout
from stacks.cli.pulumi import stack, stack_index
from stacks.cli.pulumi.engine import Engine


@dataclass(frozen=True)
class ResourceMatcher:
    """The criteria by which a resource belongs to an environment."""

    env: str
    instances: frozenset[str] = frozenset()
    """Instance ids, including known earlier instances."""
    ids: frozenset[str] = frozenset()
    """Ids in the state."""
    taken: frozenset[str] = frozenset()
    """Volumes that it uses and did not create: `volume.id`."""

    def owns(self, item: AccountItem) -> bool:
        """Return whether the resource exists and was created for the environment."""
        return item.status != "TERMINATED" and (item.instance in self.instances or item.id in self.ids)

    def uses(self, item: AccountItem) -> bool:
        """Return whether the resource is a volume named by `volume.id`."""
        return item.id in self.taken and not self.owns(item)

    def resembles(self, item: AccountItem) -> bool:
        """Return whether a volume has the environment's name and an unknown marker.

        It belongs to an earlier instance, or to another person's environment of the same name.
        """
        return (
            item.type == "volume" and not self.owns(item) and not self.uses(item) and is_named_for(self.env, item.name)
        )


def is_named_for(env: str, name: str) -> bool:
    """Return whether a physical name belongs to this environment: `comfyui-dev-2-gpu-...` does not belong to `dev`."""
    base, marker = split_name(unused_tag.untagged(name))
    return marker is not None and base.rpartition("-")[0] == physical(env, "").removesuffix("-")


def matcher_of(engine: Engine, state: Mapping[str, Any]) -> ResourceMatcher:
    """Return the matcher for the resources of the environment with this state."""
    checkout = engine.checkout
    instances = stack.instance_ids(state) | stack_index.past_instances(checkout.env, engine.environ)
    kinds = (stack.POD, stack.VOLUME)
    ids = (str(item["id"]) for kind in kinds for item in stack.resources(state, kind) if item.get("id"))
    mounted = ((item.get("inputs") or {}).get("networkVolumeId") for item in stack.resources(state, stack.POD))
    taken = {str(volume) for volume in (*mounted, volume_section(checkout).get("id")) if volume}
    return ResourceMatcher(checkout.env, frozenset(instances), frozenset(ids), frozenset(taken))


def volume_section(checkout: Checkout) -> dict[str, Any]:
    """Return the stack file's current `volume` section."""
    section = (checkout.stack_yaml().get("config") or {}).get(f"{PROJECT}:volume")
    return section if isinstance(section, dict) else {}


def list_resources(engine: Engine, matcher: ResourceMatcher) -> list[AccountItem]:
    """Return all existing resources of the environment, including volumes it uses; raises CliError on an API error."""
    with account_items.environment_client(engine) as client:
        items = account_items.list_items(client, dict.fromkeys(matcher.instances, engine.checkout.env))
    return [item for item in items if matcher.owns(item) or matcher.uses(item) or matcher.resembles(item)]


def usd_per_hour(items: Iterable[AccountItem]) -> float:
    """Return the sum of the prices."""
    return sum(item.usdPerHour for item in items)
