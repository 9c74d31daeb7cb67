"""Exposure: ComfyUI trusts whoever reaches it, so only the gateway and SSH are published."""

from __future__ import annotations

from collections.abc import Iterator

from policies.rules.rule import Properties, policy

POD = "runpod:index:Pod"
PUBLISHED = frozenset({"8189/http", "22/tcp"})
"""The gateway's port, and SSH with a pinned key."""


def foreign_ports(pod: Properties) -> Iterator[str]:
    """Refuse a pod that publishes anything beside the gateway's port and 22/tcp."""
    ports = {port.strip() for port in (pod.get("ports") or "").split(",") if port.strip()}
    for port in sorted(ports - PUBLISHED):
        yield f"port {port} would be reachable by anybody; publish {' and '.join(sorted(PUBLISHED))} alone"


POLICIES = [policy("only-the-gateway-is-published", POD, foreign_ports)]
