"""Every route and a concrete path of each."""

from __future__ import annotations

from provisioning.gateway.routes import OPERATIONS

EVERY = [(route, path) for route in OPERATIONS for path in route.paths]
CLOSED = [(route, path) for route, path in EVERY if route.needs_key]
NAMES = {
    "code": "not_found", "id": "a", "name": "SaveImage", "folder": "loras", "hash": "blake3:0", "file": "a.json",
    "dest": "b.json",
}  # fmt: skip


def concrete(path: str) -> str:
    return path.format(**NAMES)
