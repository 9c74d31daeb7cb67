"""What is seen on the pod before anything is decided."""

from __future__ import annotations

from dataclasses import dataclass

from provisioning.host import packages, users
from provisioning.install import nodes, software
from provisioning.install.site import Site
from provisioning.install.targets import Targets
from provisioning.models import store
from provisioning.services import start


@dataclass(frozen=True)
class Facts:
    """One look at the pod; steps decide on this alone."""

    in_charge: bool
    """Root on a machine of its own: users and system packages are ours to set."""
    missing_packages: tuple[str, ...]
    users: bool
    directories: bool
    comfyui_source: bool
    node_sources: bool
    node_links: bool
    comfyui_venv: bool
    gateway_venv: bool
    archives: bool
    """Whether the volume holds every tree that is run."""
    models: bool


def observe(site: Site) -> Facts:
    """Look; changes nothing and reaches no network."""
    layout, plan, targets = site.layout, site.plan, Targets(site)
    in_charge = users.in_charge(layout)
    return Facts(
        in_charge=in_charge,
        missing_packages=packages.missing(),
        users=in_charge and all(users.exists(user) for user in users.SERVICE_USERS),
        directories=start.directories_ready(layout),
        comfyui_source=targets.comfyui_source.is_dir(),
        node_sources=all(nodes.directory(layout, pin).is_dir() for pin in plan.nodes),
        node_links=nodes.linked(layout, plan.nodes),
        comfyui_venv=targets.comfyui_venv.python(layout).exists(),
        gateway_venv=targets.gateway_venv.python(layout).exists(),
        archives=not software.missing(site),
        models=all(store.linked(layout, pin) for pin in plan.models if pin.url) and _no_other_links(site),
    )


def _no_other_links(site: Site) -> bool:
    wanted = {store.link_path(site.layout, pin) for pin in site.plan.models if pin.url}
    return all(path in wanted for path in site.layout.model_folders.glob("*/*") if path.is_symlink())
