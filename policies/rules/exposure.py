"""Exposure: ComfyUI has no authentication, so a pod publishes only the gateway and SSH."""

from __future__ import annotations

from collections.abc import Iterator

from policies.rules.rule import Properties, policy

POD = "runpod:index:Pod"
PUBLISHED = frozenset({"8189/http", "22/tcp"})
"""The gateway's port, and SSH with a pinned key."""


def foreign_ports(pod: Properties) -> Iterator[str]:
    """Refuse a pod that publishes anything other than the gateway's port and 22/tcp."""
    ports = {port.strip() for port in (pod.get("ports") or "").split(",") if port.strip()}
    for port in sorted(ports - PUBLISHED):
        yield f"port {port} would be reachable from the internet; publish only {' and '.join(sorted(PUBLISHED))}"


POLICIES = [policy("only-the-gateway-is-published", POD, foreign_ports)]
