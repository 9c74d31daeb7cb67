"""The steps to a serving pod, as data: each says when it is done and what it does otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from provisioning.errors import InstallError
from provisioning.host import packages, users
from provisioning.install import nodes, software, sources, uv, venvs
from provisioning.install.facts import Facts
from provisioning.install.progress import WARNING
from provisioning.install.site import Site
from provisioning.install.targets import Targets, tokens
from provisioning.models import manifest, store
from provisioning.services import start
from provisioning.vault import archives

MINIMUM_COMFYUI = (0, 28)
"""Older ones have known remote holes (CVE-2026-56670 to 56673)."""


@dataclass(frozen=True)
class Step:
    """One step; `run` is idempotent and may be killed anywhere."""

    name: str
    title: str
    is_done: Callable[[Facts], bool]
    run: Callable[[Site], None]


def decide(steps: Iterable[Step], facts: Facts) -> tuple[Step, ...]:
    """Return the steps that are still to be run, in their order."""
    return tuple(step for step in steps if not step.is_done(facts))


def validate(site: Site) -> None:
    """Refuse a plan that could not end well, before anything is done; raises ProvisioningError."""
    sources.validate(site.plan.comfyui)
    for pin in site.plan.nodes:
        sources.validate(pin)
        nodes.refuse_denied(pin)
    manifest.fetchable(site.plan.models)


def _packages(site: Site) -> None:
    packages.install(packages.missing(), site.layout, site.tool_env)
    # The archive of before lacks what was fetched now; the step "archives" writes another one.
    archives.path(site.layout, packages.archive(site.layout)).unlink(missing_ok=True)


def _comfyui(site: Site) -> None:
    pin, target = site.plan.comfyui, Targets(site).comfyui_source
    software.have(site, "comfyui", sources.archive(pin), target, lambda: sources.fetch(pin, target, site.tool_env))


def check_comfyui(site: Site) -> None:
    """Refuse a ComfyUI that is too old to be safe, or a torch that is; raises InstallError."""
    directory = Targets(site).comfyui_source
    found = sources.version(directory)
    if found is None or found < MINIMUM_COMFYUI:
        shown = ".".join(map(str, found)) if found else "unknown"
        raise InstallError(f"ComfyUI {site.plan.comfyui.ref} has version {shown}; 0.28.0 or later is needed")
    listed = directory / "requirements.txt"
    names = listed.read_text("utf-8").split() if listed.exists() else []
    venvs.check_torch(venvs.torch_version(), required="torch" in names)


def _nodes(site: Site) -> None:
    for pin in site.plan.nodes:
        fetch = partial(sources.fetch, pin, nodes.directory(site.layout, pin), site.tool_env)
        software.have(site, "nodes", sources.archive(pin), nodes.directory(site.layout, pin), fetch)
    nodes.link_all(site.layout, site.plan.nodes)


def _comfyui_venv(site: Site) -> None:
    check_comfyui(site)
    _environment(site, "comfyui-packages", Targets(site).comfyui_venv)


def _gateway_venv(site: Site) -> None:
    _environment(site, "gateway-packages", Targets(site).gateway_venv)


def _environment(site: Site, step: str, venv: venvs.Venv) -> None:
    def build() -> None:
        tool = uv.directory(site.layout)
        software.have(site, step, tool.name, tool, lambda: None)
        venvs.build(venv, site.layout, site.tool_env)

    software.have(site, step, venv.directory(site.layout).name, venv.directory(site.layout), build)


def _archives(site: Site) -> None:
    if not archives.is_sound(site.layout, site.volume_key, uv.directory(site.layout).name):
        uv.ensure(site.layout, site.tool_env)
    software.keep(site)


def _models(site: Site) -> None:
    around = manifest.Surroundings(tokens(site.secrets), site.progress, site.plan.volume_gb * 10**9, fence=site.fence)
    manifest.ensure(site.layout, site.plan.models, around)
    for pin in site.plan.models:
        have = store.stored(site.layout, pin)
        if have and not pin.sha256:
            note = f"{pin.name}: SHA-256 {have.sha256} recorded; `make lock` brings it into the repository"
            site.progress.emit("models", WARNING, note)


STEPS: tuple[Step, ...] = (
    Step("packages", "system packages", lambda f: not f.in_charge or not f.missing_packages, _packages),
    Step("users", "service users", lambda f: not f.in_charge or f.users, lambda s: users.ensure(s.tool_env)),
    Step("directories", "directories", lambda f: f.directories, lambda s: start.make_directories(s.layout)),
    Step("comfyui", "ComfyUI's source", lambda f: f.comfyui_source, _comfyui),
    Step("nodes", "custom nodes", lambda f: f.node_sources and f.node_links, _nodes),
    Step("comfyui-packages", "ComfyUI's Python packages", lambda f: f.comfyui_venv, _comfyui_venv),
    Step("gateway-packages", "the gateway's Python packages", lambda f: f.gateway_venv, _gateway_venv),
    Step("archives", "software on the volume", lambda f: f.archives, _archives),
    Step("models", "models", lambda f: f.models, _models),
)
"""What is put on the pod; `provisioning.install.serve` then starts it."""
