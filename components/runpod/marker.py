"""The marker of this project's resources: in their names, and for pods in the environment too.

`<base>-<instance id>-<urn hash>-<nonce>`: the stack's instance, the declared resource, and the creation of that
resource. The name is the only attribute that every kind of resource has.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

ENV_NAME = "COMFYUI_RUNPOD_MARKER"
"""Environment variable of a pod that repeats the marker, so that a renamed pod is still recognised."""

_FORM = re.compile(r"(?P<instance>[0-9a-f]{10})-(?P<urn>[0-9a-f]{8})-(?P<nonce>[0-9a-f]{8})")


@dataclass(frozen=True)
class Marker:
    """The identity of a resource."""

    instance: str
    """The stack's instance id: ten hexadecimal digits, random, held by its StackGuard."""
    urn: str
    """Eight hexadecimal digits of the resource's URN."""
    nonce: str
    """Eight random hexadecimal digits, new for every creation."""

    def __str__(self) -> str:
        return f"{self.instance}-{self.urn}-{self.nonce}"

    def name(self, base: str) -> str:
        """Return the physical name of a resource whose name was declared as `base`."""
        return f"{base}-{self}"

    def same_resource(self, other: Marker | None) -> bool:
        """Return whether both belong to creations of one declared resource."""
        return other is not None and (self.instance, self.urn) == (other.instance, other.urn)


def new_instance() -> str:
    """Return a new random instance id."""
    return secrets.token_hex(5)


def new_marker(instance: str, urn: str) -> Marker:
    """Return the marker of a new creation of the resource with this URN."""
    return Marker(instance, urn_hash(urn), secrets.token_hex(4))


def urn_hash(urn: str) -> str:
    """Return the part of a marker that stands for a URN."""
    return hashlib.sha256(urn.encode()).hexdigest()[:8]


def parse(text: str) -> Marker | None:
    """Parse a marker without a base name, as in a pod's environment; None when the text is not a marker."""
    match = _FORM.fullmatch(text)
    return Marker(**match.groupdict()) if match else None


def split_name(name: str) -> tuple[str, Marker | None]:
    """Return base and marker of a physical name; the whole name and None when it has no marker."""
    base, dash, tail = name[:-28], name[-29:-28], name[-28:]
    marker = parse(tail) if dash == "-" else None
    return (base[:-1], marker) if marker else (name, None)


def instance_of(name: str, env: Mapping[str, str] | None = None) -> str:
    """Return the instance id in the marker of a resource; empty when the resource has no marker."""
    marker = marker_of(name, env)
    return marker.instance if marker else ""


def marker_of(name: str, env: Mapping[str, str] | None = None) -> Marker | None:
    """Return the marker in a resource's name or else in its environment."""
    marker = split_name(name)[1]
    return marker or parse((env or {}).get(ENV_NAME, ""))
