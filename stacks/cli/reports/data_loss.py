"""Data that a plan would delete: running pods and volumes with data, with their cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from components.cost import volume_usd_per_month
from components.runpod.plugin.base.stack_file import VolumeChoice
from components.runpod.plugin.volumes import unused_tag
from stacks.cli.account import account_items, environment_resources
from stacks.cli.checkout import Checkout
from stacks.cli.errors import CliError
from stacks.cli.pulumi.engine import Engine
from stacks.cli.pulumi.event_log import PlanStep
from stacks.cli.pulumi.stack import POD, VOLUME

_ENDING = frozenset(("delete", "delete-replaced", "replace", "discard-replaced"))
"""Operations that delete the existing resource; `replace` is one step of a set of two or three."""
_RUNS_NOT = frozenset(("EXITED", "ERROR", "TERMINATED"))


@dataclass(frozen=True)
class VolumeRetention:
    """Whether the stack file keeps the environment's own volume, regardless of the plan."""

    keep: bool = False
    """`volume.keep`."""
    identity: str = ""
    """`volume.id`: the volume to use; the stack's own volume is then kept."""

    @property
    def any(self) -> bool:
        """Whether the volume stays."""
        return self.keep or bool(self.identity)


def volume_retention(checkout: Checkout) -> VolumeRetention:
    """Return the volume retention of the current stack file."""
    wish = VolumeChoice.of(environment_resources.volume_section(checkout))
    return VolumeRetention(wish.keep, wish.id)


def is_empty(engine: Engine, volume_id: str) -> bool:
    """Return whether a volume is certainly empty, by its name and by RunPod's current list."""
    try:
        with account_items.environment_client(engine) as client:
            return unused_tag.is_empty(client, volume_id)
    except CliError:
        return False


def losses(
    steps: Iterable[PlanStep], kept: VolumeRetention, is_empty: Callable[[str], bool] = lambda _id: False
) -> list[str]:
    """Return one line for each pod or volume that the plan would delete.

    An empty volume, by `is_empty`, is no loss.
    """
    found: dict[tuple[str, str], str] = {}
    ending = [step for step in steps if step.op in _ENDING and step.old.get("id")]
    replaced = {step.urn for step in ending if "replace" in step.op}
    # Only the step `replace` contains the reason; the other steps of its set have none.
    for step in sorted(ending, key=lambda step: not step.reasons):
        line = _loss(step, kept, replaced=step.urn in replaced)
        if line and not (step.kind == VOLUME and is_empty(str(step.old["id"]))):
            found.setdefault((step.urn, str(step.old["id"])), line)
    return list(found.values())


def _loss(step: PlanStep, kept: VolumeRetention, *, replaced: bool) -> str:
    seen: dict[str, Any] = {**(step.old.get("inputs") or {}), **(step.old.get("outputs") or {})}
    if step.kind == POD and seen.get("status") not in _RUNS_NOT:
        return _pod(step, seen, replaced=replaced)
    if step.kind == VOLUME and not kept.any:
        return _volume(step, seen, replaced=replaced)
    return ""


def _pod(step: PlanStep, seen: dict[str, Any], *, replaced: bool) -> str:
    verb = f"is replaced{_because(step)}" if replaced else "is deleted"
    price = f"${float(seen.get('costPerHr') or 0):.4f}/h"
    bill = f"it costs {price} now, the new one RunPod's current price" if replaced else f"this saves {price}"
    return (
        f"pod {step.old['id']} ({seen.get('gpu', 'GPU not known')}) {verb}: running jobs are interrupted, its "
        f"container disk is lost, its address changes; {bill}"
    )


def _volume(step: PlanStep, seen: dict[str, Any], *, replaced: bool) -> str:
    size = int(seen.get("size") or 0)
    verb = f"is deleted and created again{_because(step)}" if replaced else "is deleted"
    month = f"${volume_usd_per_month(size):.2f}"
    bill = f"the new one costs {month} a month and starts empty" if replaced else f"this saves {month} a month"
    return (
        f"volume {step.old['id']} ({size} GB in {seen.get('dataCenterId', 'an unknown data centre')}) {verb}: models, "
        f"uploads, outputs, users, keys, jobs and usage on it are lost; {bill}"
    )


def _because(step: PlanStep) -> str:
    return f" because of {', '.join(step.reasons)}" if step.reasons else ""
