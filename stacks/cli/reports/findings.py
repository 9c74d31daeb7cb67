"""Problems of an environment, found by comparing its state, the account and the gateway's answer. Pure rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from components.runpod.api.models import NetworkVolume, Pod
from components.runpod.inventory import AccountResource
from stacks.cli.account.ownership import OwnedItem, Ownership
from stacks.cli.pulumi.stack import POD, VOLUME, resources

_SAME_PRICE = 0.00005  # USD per hour; prices have four digits


class Severity(StrEnum):
    """Effect of a finding."""

    COSTS = "costs"
    """Money is wasted, or the price is higher than expected."""
    BREAKS = "breaks"
    """The environment does not work, or its next update will fail."""
    NOTE = "note"
    """Information only."""


@dataclass(frozen=True)
class Finding:
    """A problem or note with its cost and remedy."""

    kind: str
    severity: Severity
    what: str
    fix: str
    """The command that helps."""
    usd_per_day: float = 0.0

    def public(self) -> dict[str, object]:
        """The finding in the form of `make doctor JSON=1`."""
        return {
            "kind": self.kind, "severity": self.severity.value, "what": self.what,
            "usdPerDay": round(self.usd_per_day, 4), "fix": self.fix,
        }  # fmt: skip


@dataclass(frozen=True)
class Inspection:
    """The facts that the rules compare."""

    env: str
    state: Mapping[str, Any] = field(default_factory=dict, repr=False)
    pods: tuple[Pod, ...] = ()
    volumes: tuple[NetworkVolume, ...] = ()
    others: tuple[AccountResource, ...] = ()
    owned: tuple[OwnedItem, ...] = ()
    """The account's resources with their ownership."""
    unreadable: tuple[str, ...] = ()
    """Stacks whose state could not be read."""
    api_fault: str = ""
    """Why the account's resources could not be read; empty when they could."""
    silence: str = ""
    """Why the gateway does not answer; empty when it does or was not checked."""
    keeps_volumes: bool = False
    paused: bool = False
    """Whether the environment is paused."""
    stale_locks: tuple[str, ...] = ()
    active_locks: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()
    """Differences between the installation and the stack file and lock file."""
    refusal: str = ""
    """Why the next update will refuse its settings."""


def find(facts: Inspection) -> list[Finding]:
    """Apply every rule; costs and failures come first, the most expensive first."""
    order = list(Severity)
    found = [finding for rule in _RULES for finding in rule(facts)]
    return sorted(found, key=lambda finding: (order.index(finding.severity), -finding.usd_per_day))


def is_healthy(found: Iterable[Finding]) -> bool:
    """Return whether there is no finding beyond notes."""
    return all(finding.severity is Severity.NOTE for finding in found)


def _api(facts: Inspection) -> Iterator[Finding]:
    if facts.api_fault:
        yield Finding("api", Severity.BREAKS, facts.api_fault, f"make up ENV={facts.env}")


def _loose(facts: Inspection) -> Iterator[Finding]:
    """Resources in no state."""
    mounted = _mounted(facts.pods)
    for owned in facts.owned:
        if owned.ownership is not Ownership.HELD and not (owned.item.id in mounted and not owned.item.instance):
            yield _loose_one(facts, owned)


def _loose_one(facts: Inspection, owned: OwnedItem) -> Finding:
    item, env = owned.item, facts.env
    kept = facts.keeps_volumes and item.type == "volume" and owned.stack == env
    calm = owned.ownership in {Ownership.BUSY, Ownership.FOREIGN} or kept or not item.usdPerHour
    name = "VOLUMES" if item.type == "volume" else "IDS"
    by_name = f"make sweep ENV={env} {name}={item.id} YES=1"
    fixes = {
        Ownership.ORPHAN: by_name if item.type == "volume" else f"make sweep ENV={env} YES=1",
        Ownership.BUSY: f"make doctor ENV={env}",
        Ownership.UNMARKED: by_name,
        Ownership.FOREIGN: by_name,
    }
    kind = "orphan" if owned.ownership in {Ownership.ORPHAN, Ownership.BUSY} else "unknown"
    text = f"{item.label} {owned.ownership}{f' ({owned.stack})' if owned.stack else ''}"
    text += "; it was kept because of volume.keep" if kept else ""
    text += "; find out who owns it before you delete it" if owned.ownership is Ownership.FOREIGN else ""
    return Finding(kind, Severity.NOTE if calm else Severity.COSTS, text, fixes[owned.ownership], item.usd_per_day)


def _lost(facts: Inspection) -> Iterator[Finding]:
    """Resources in the state that the account does not have."""
    there = {pod.id for pod in facts.pods} | {volume.id for volume in facts.volumes}
    there |= {held.id for held in facts.others}
    for what, kind in _HELD.items():
        for item in [] if facts.api_fault else resources(facts.state, kind):
            if item.get("id") not in there:
                text = f"{what} {item.get('id')} is in the state but not in the account"
                yield Finding("lost", Severity.BREAKS, text, f"make up ENV={facts.env}")


_HELD = {
    "pod": POD,
    "volume": VOLUME,
    "endpoint": "runpod:index:Endpoint",
    "template": "runpod:index:Template",
    "registry": "runpod:index:ContainerRegistryAuth",
    "SSH key": "runpod:index:AccountSshKey",
}
"""Types in the state by their name in messages."""


def _silent(facts: Inspection) -> Iterator[Finding]:
    """Pods of the stack that are billed but do not work."""
    fix = f"make up ENV={facts.env}"
    for pod in _own(facts):
        if pod.status != "RUNNING":
            text = f"pod {pod.id} is {pod.status}"
        elif pod.gpu and pod.gpus_got == 0:
            text = f"pod {pod.id} runs without a GPU: none was available when it was restarted"
        elif facts.silence:
            text, fix = (
                f"pod {pod.id} runs and its gateway does not answer: {facts.silence}",
                f"make logs ENV={facts.env}",
            )
        else:
            continue
        yield Finding("silent", Severity.BREAKS, text, fix, pod.cost * 24)


def _unused(facts: Inspection) -> Iterator[Finding]:
    """Volumes in a state that no pod mounts."""
    mounted, has_pod = _mounted(facts.pods), bool(resources(facts.state, POD))
    for owned in facts.owned:
        loose = owned.item.type == "volume" and owned.ownership is Ownership.HELD and owned.item.id not in mounted
        # With a pod in the state the volume is in use; a lost pod is another finding.
        if loose and not (has_pod and owned.stack == facts.env):
            ours = owned.stack == facts.env
            severity = Severity.NOTE if ours and (facts.keeps_volumes or facts.paused) else Severity.COSTS
            text, fix = f"{owned.item.label} is used by no pod ({owned.stack})", f"make destroy ENV={owned.stack}"
            if ours and facts.paused:
                text, fix = f"{facts.env} is paused; {owned.item.label} is kept for it", f"make resume ENV={facts.env}"
            yield Finding("unused-volume", severity, text, fix, owned.item.usd_per_day)


def _interrupted(facts: Inspection) -> Iterator[Finding]:
    """Traces of killed or running commands."""
    fix = f"make up ENV={facts.env}"
    for name in facts.active_locks:
        yield Finding("lock", Severity.NOTE, f"an update is running ({name})", f"make doctor ENV={facts.env}")
    for name in facts.stale_locks:
        yield Finding("lock", Severity.BREAKS, f"a killed run left its lock ({name})", fix)
    for entry in facts.state.get("pending_operations") or []:
        urn = (entry.get("resource") or {}).get("urn", "")
        text = f"{entry.get('type')} of {urn.rpartition('::')[2]} was started but not finished"
        severity = Severity.NOTE if facts.active_locks else Severity.BREAKS
        yield Finding("pending", severity, text, fix)


def _price_changes(facts: Inspection) -> Iterator[Finding]:
    """Pods whose price differs from the state's."""
    believed = {item.get("id"): (item.get("outputs") or {}).get("costPerHr") for item in resources(facts.state, POD)}
    for pod in _own(facts):
        before = believed.get(pod.id)
        if before is None or pod.status != "RUNNING" or abs(pod.cost - float(before)) < _SAME_PRICE:
            continue
        severity = Severity.COSTS if pod.cost > float(before) else Severity.NOTE
        text = f"pod {pod.id} costs ${pod.cost:.4f}/h now; the state says ${float(before):.4f}/h"
        yield Finding("price", severity, text, f"make up ENV={facts.env}", (pod.cost - float(before)) * 24)


def _outdated(facts: Inspection) -> Iterator[Finding]:
    """Differences between the installation and the files, refused settings, and unreadable states."""
    for text in facts.pins:
        yield Finding("pin", Severity.NOTE, text, f"make up ENV={facts.env}")
    if facts.refusal:
        yield Finding("settings", Severity.BREAKS, facts.refusal, f"make preview ENV={facts.env}")
    for name in facts.unreadable:
        text = f"the state of {name} cannot be read, so its resources are shown as unknown"
        yield Finding("state", Severity.BREAKS, text, f"make output ENV={name}")


_RULES: tuple[Callable[[Inspection], Iterator[Finding]], ...] = (
    _api, _loose, _lost, _silent, _unused, _interrupted, _price_changes, _outdated,
)  # fmt: skip


def _own(facts: Inspection) -> list[Pod]:
    ids = {item.get("id") for item in resources(facts.state, POD)}
    return [pod for pod in facts.pods if pod.id in ids]


def _mounted(pods: Iterable[Pod]) -> set[str]:
    return {mount.volume_id for pod in pods if pod.status != "TERMINATED" for mount in pod.mounts.network}
