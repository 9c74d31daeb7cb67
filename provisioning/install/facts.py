"""The observed state of a pod, on which the steps decide."""

from __future__ import annotations

from dataclasses import dataclass

from provisioning.host import packages, users
from provisioning.install import nodes, software
from provisioning.install.context import InstallContext
from provisioning.install.paths import InstallPaths
from provisioning.models import store
from provisioning.services import start


@dataclass(frozen=True)
class Facts:
    """The observed state of a pod; steps decide on this alone."""

    owns_machine: bool
    """Whether this process may set users and system packages, as root on the pod's own machine."""
    missing_packages: tuple[str, ...]
    users: bool
    directories: bool
    comfyui_source: bool
    node_sources: bool
    node_links: bool
    comfyui_venv: bool
    gateway_venv: bool
    archives: bool
    """Whether the volume has an archive of every software tree."""
    models: bool


def observe(context: InstallContext) -> Facts:
    """Observe the pod, without changes and network access."""
    layout, plan, targets = context.layout, context.plan, InstallPaths(context)
    owns_machine = users.owns_machine(layout)
    return Facts(
        owns_machine=owns_machine,
        missing_packages=packages.missing(),
        users=owns_machine and all(users.exists(user) for user in users.SERVICE_USERS),
        directories=start.directories_ready(layout),
        comfyui_source=targets.comfyui_source.is_dir(),
        node_sources=all(nodes.directory(layout, pin).is_dir() for pin in plan.nodes),
        node_links=nodes.linked(layout, plan.nodes),
        comfyui_venv=targets.comfyui_venv.python(layout).exists(),
        gateway_venv=targets.gateway_venv.python(layout).exists(),
        archives=not software.missing(context),
        models=all(store.linked(layout, pin) for pin in plan.models if pin.url) and _no_other_links(context),
    )


def _no_other_links(context: InstallContext) -> bool:
    wanted = {store.link_path(context.layout, pin) for pin in context.plan.models if pin.url}
    return all(path in wanted for path in context.layout.model_folders.glob("*/*") if path.is_symlink())
