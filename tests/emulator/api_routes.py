"""The routes of every API resource that the emulator implements."""

from __future__ import annotations

from tests.emulator import (
    billing,
    catalogue,
    files,
    logs,
    pods,
    registries,
    serverless,
    ssh_keys,
    templates,
    volumes,
)

_MODULES = (pods, logs, volumes, templates, registries, serverless, catalogue, billing, ssh_keys, files)

ROUTES = tuple(module.routes for module in _MODULES)
