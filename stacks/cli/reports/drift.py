"""Differences between the running installation and the stack file and lock file: ComfyUI, nodes and models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from components.errors import DeclarationError
from provisioning.contract import ModelPin, ProvisionPlan, SourcePin
from stacks import lockfile, plan
from stacks.cli.errors import CliError
from stacks.cli.pulumi import last_installation, stack_settings
from stacks.cli.pulumi.engine import Engine


def compare(engine: Engine, state: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    """Return the differences, and why the next update will refuse its settings (empty when it will not)."""
    try:
        wanted = _wanted(engine)
    except DeclarationError as error:
        return (), str(error)
    try:
        ran, _ = last_installation.find_run(state, engine.checkout.env)
    except CliError:
        return (), ""
    return tuple(differences(ran, wanted)), ""


def differences(ran: ProvisionPlan, wanted: ProvisionPlan) -> Iterator[str]:
    """Yield one sentence for each pin that differs."""
    before = {source.name: source for source in (ran.comfyui, *ran.nodes)}
    after = {source.name: source for source in (wanted.comfyui, *wanted.nodes)}
    for name in sorted(before.keys() | after.keys()):
        yield from _differs(name, _source(before.get(name)), _source(after.get(name)))
    old, new = ({model.name: model for model in one.models} for one in (ran, wanted))
    for name in sorted(old.keys() | new.keys()):
        yield from _differs(name, _model(old.get(name)), _model(new.get(name)))


def _differs(name: str, ran: str, wanted: str) -> Iterator[str]:
    if ran != wanted:
        yield f"{name}: {ran} is running, and the files specify {wanted}"


def _source(pin: SourcePin | None) -> str:
    return f"{pin.ref} ({pin.commit[:12]}) of {pin.repository}" if pin else "nothing"


def _model(pin: ModelPin | None) -> str:
    return f"{pin.url or 'no address'} ({pin.sha256[:12] or 'hash not known'})" if pin else "nothing"


def _wanted(engine: Engine) -> ProvisionPlan:
    root = engine.checkout.root
    return plan.provision(stack_settings.read(engine), lockfile.load(root / "stacks" / lockfile.PATH.name), root)
