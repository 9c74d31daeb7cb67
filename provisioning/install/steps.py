"""The installation steps as data, each with a check whether it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from provisioning.errors import InstallError
from provisioning.host import packages, users
from provisioning.host.system_lock import system_lock
from provisioning.install import nodes, software, sources, uv, venvs
from provisioning.install.context import InstallContext
from provisioning.install.facts import Facts
from provisioning.install.paths import InstallPaths, tokens
from provisioning.models import manifest, store
from provisioning.progress import WARNING
from provisioning.services import start
from provisioning.vault import archives

MINIMUM_COMFYUI = (0, 28)
"""Older versions have known remote vulnerabilities (CVE-2026-56670 to 56673)."""


@dataclass(frozen=True)
class Step:
    """One step; `run` is idempotent and can be interrupted at any point."""

    name: str
    title: str
    is_done: Callable[[Facts], bool]
    run: Callable[[InstallContext], None]


def decide(steps: Iterable[Step], facts: Facts) -> tuple[Step, ...]:
    """Return the steps that have to run, in order."""
    return tuple(step for step in steps if not step.is_done(facts))


def validate(context: InstallContext) -> None:
    """Refuse an invalid plan before any change; raises ProvisioningError."""
    sources.validate(context.plan.comfyui)
    for pin in context.plan.nodes:
        sources.validate(pin)
        nodes.refuse_denied(pin)
    manifest.fetchable(context.plan.models)


def _packages(context: InstallContext) -> None:
    with system_lock(context.layout):
        packages.install(packages.missing(), context.layout, context.tool_env)
    # The existing archive lacks the new packages; the step "archives" writes another one.
    archives.path(context.layout, packages.archive(context.layout)).unlink(missing_ok=True)


def _users(context: InstallContext) -> None:
    users.ensure(context.layout, context.tool_env)


def _comfyui(context: InstallContext) -> None:
    pin, target = context.plan.comfyui, InstallPaths(context).comfyui_source
    software.ensure_tree(
        context, "comfyui", sources.archive(pin), target, lambda: sources.fetch(pin, target, context.tool_env)
    )


def check_comfyui(context: InstallContext) -> None:
    """Refuse versions of ComfyUI or torch with known vulnerabilities; raises InstallError."""
    directory = InstallPaths(context).comfyui_source
    found = sources.version(directory)
    if found is None or found < MINIMUM_COMFYUI:
        shown = ".".join(map(str, found)) if found else "unknown"
        raise InstallError(f"ComfyUI {context.plan.comfyui.ref} has version {shown}; 0.28.0 or later is required")
    listed = directory / "requirements.txt"
    names = listed.read_text("utf-8").split() if listed.exists() else []
    venvs.check_torch(venvs.torch_version(), required="torch" in names)


def _nodes(context: InstallContext) -> None:
    for pin in context.plan.nodes:
        fetch = partial(sources.fetch, pin, nodes.directory(context.layout, pin), context.tool_env)
        software.ensure_tree(context, "nodes", sources.archive(pin), nodes.directory(context.layout, pin), fetch)
    nodes.link_all(context.layout, context.plan.nodes)


def _comfyui_venv(context: InstallContext) -> None:
    check_comfyui(context)
    _environment(context, "comfyui-packages", InstallPaths(context).comfyui_venv)


def _gateway_venv(context: InstallContext) -> None:
    _environment(context, "gateway-packages", InstallPaths(context).gateway_venv)


def _environment(context: InstallContext, step: str, venv: venvs.Venv) -> None:
    def build() -> None:
        tool = uv.directory(context.layout)
        software.ensure_tree(context, step, tool.name, tool, lambda: None)
        venvs.build(venv, context.layout, context.tool_env)

    software.ensure_tree(context, step, venv.directory(context.layout).name, venv.directory(context.layout), build)


def _archives(context: InstallContext) -> None:
    if not archives.is_intact(context.layout, context.volume_key, uv.directory(context.layout).name):
        uv.ensure(context.layout, context.tool_env)
    software.keep(context)


def _models(context: InstallContext) -> None:
    around = manifest.FetchContext(
        tokens(context.secrets), context.progress, context.plan.volume_gb * 10**9, fence=context.fence
    )
    manifest.ensure(context.layout, context.plan.models, around)
    for pin in context.plan.models:
        have = store.stored(context.layout, pin)
        if have and not pin.sha256:
            note = f"{pin.name}: SHA-256 {have.sha256} recorded; `make lock` writes it to the lock file"
            context.progress.emit("models", WARNING, note)


STEPS: tuple[Step, ...] = (
    Step("packages", "system packages", lambda f: not f.owns_machine or not f.missing_packages, _packages),
    Step("users", "service users", lambda f: not f.owns_machine or f.users, _users),
    Step("directories", "directories", lambda f: f.directories, lambda s: start.make_directories(s.layout)),
    Step("comfyui", "ComfyUI's source", lambda f: f.comfyui_source, _comfyui),
    Step("nodes", "custom nodes", lambda f: f.node_sources and f.node_links, _nodes),
    Step("comfyui-packages", "ComfyUI's Python packages", lambda f: f.comfyui_venv, _comfyui_venv),
    Step("gateway-packages", "the gateway's Python packages", lambda f: f.gateway_venv, _gateway_venv),
    Step("archives", "software on the volume", lambda f: f.archives, _archives),
    Step("models", "models", lambda f: f.models, _models),
)
"""The steps in order; `provisioning.install.serve` then starts the services."""
